# Reads what a test program printed with --show-output, and prints a row for each test: passed,
# skipped with what is missing, or failed with the beginning of its output.
/^test .* \.\.\. (ok|FAILED|ignored)/ {
    sub(/ - should panic/, "", $0)
    outcome[$2] = $NF == "ok" ? "passed" : $NF == "FAILED" ? "failed" : "ignored"
    if (/\.\.\. ignored/) outcome[$2] = "ignored"
}
/^test .* has been running for over/ { slow[$2] = 1 }
/^skipped: all tests of this program/ { print "ROW\t" program "\t*\tskipped\t" substr($0, 10, 200) }
/^---- .* stdout ----$/ { inside = $2; next }
inside != "" && /^skipped: / {
    what = substr($0, 10)
    skips[inside] = skips[inside] (skips[inside] == "" ? "" : "; ") what
}
inside != "" && length(text[inside]) < 4500 { text[inside] = text[inside] " | " substr($0, 1, 400) }
END {
    for (test in outcome) {
        row = "ROW\t" program "\t" test "\t"
        if (outcome[test] == "failed") print row "failed\t" text[test]
        else if (skips[test] != "") print row "skipped\t" skips[test]
        else print row outcome[test] "\t"
    }
    for (test in slow) if (!(test in outcome)) print "ROW\t" program "\t" test "\tfailed\tdid not end"
}
