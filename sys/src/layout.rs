//! The layout of every structure, as numbers, and [`Self::ZEROED`](crate::io_uring_sqe::ZEROED).
//!
//! The numbers come from compiled C. They are asserted whenever the crate is built, so `cargo
//! check --target ...` tests the layout on that target. A unit test compares the same table with
//! the kernel's list, `tests/data/layout.tsv`, in both directions.
//!
//! Besides sizes and offsets the table keeps two rules. A structure has no padding: its fields
//! add up to its size, and all of its fields are in the table. An arm of a union is as large as
//! the union, so that writing any arm leaves no byte undefined.

use core::mem::{align_of, size_of, zeroed};

use memoffset::{offset_of, offset_of_union};
use static_assertions::{assert_impl_all, const_assert_eq};

#[allow(clippy::wildcard_imports, reason = "every structure of the crate")]
use crate::*;

/// The alignment of the kernel's `__u64`: 8, but 4 on 32-bit x86.
#[allow(dead_code, reason = "Rust 1.85 does not see the uses in assertions")]
const WORD: usize = align_of::<u64>();

/// The size of the field that `_project` projects to.
#[allow(dead_code, reason = "Rust 1.85 does not see the uses in assertions")]
const fn size_behind<T, F>(_project: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// Asserts the layout of structures and unions, and defines their `ZEROED`.
///
/// A line is `struct NAME size alignment { field offset size; ... }`. A field can be followed by a
/// note on how C declares it, for the comparison with the kernel's list:
///
/// - `(nested T)`: C also has a field that is a structure;
/// - `(anonymous T)`: a union or structure without a name, whose fields C accesses directly;
/// - `(flexible)`: an array without a length;
/// - `(ours)`: C does not have this field.
macro_rules! layout {
    ($(
        $kind:ident $T:ident $size:literal $align:tt {
            $($field:ident $offset:literal $bytes:literal $(($how:ident $($inner:ident)?))?;)*
        }
    )*) => {
        $(
            assert_impl_all!($T: Copy, Send, Sync);
            layout!(@$kind $T $size $align { $($field $offset $bytes $(($($inner)?))?;)* });

            impl $T {
                /// All bytes zero: the kernel requires that of every field that an operation does
                /// not use.
                // SAFETY: zero bits are a valid value of every field: a number, a set over a
                // number, a `SharedPtr`, or made of these. The compiler evaluates the constant
                // below, and fails to build if that is not so.
                pub const ZEROED: Self = unsafe { zeroed() };
            }

            const _: $T = $T::ZEROED;

            impl Default for $T {
                fn default() -> Self {
                    Self::ZEROED
                }
            }
        )*

        #[cfg(test)]
        pub(crate) const TABLE: &[crate::tests::layout::Record] = &[$(crate::tests::layout::Record {
            name: stringify!($T),
            size: $size,
            align: $align,
            fields: &[$(crate::tests::layout::Field {
                name: stringify!($field),
                offset: $offset,
                size: $bytes,
                how: &[$(stringify!($how) $(, stringify!($inner))?)?],
            }),*],
        }),*];
    };

    (@struct $T:ident $size:literal $align:tt {
        $($field:ident $offset:literal $bytes:literal $(($($inner:ident)?))?;)*
    }) => {
        // Never called: the names show in a failed assertion which field it concerns.
        #[allow(dead_code, reason = "only evaluated at compile time")]
        fn $T() {
            const_assert_eq!(size_of::<$T>(), $size);
            const_assert_eq!(align_of::<$T>(), $align);
            const_assert_eq!(0 $(+ $bytes)*, $size);
            $(fn $field() {
                const_assert_eq!(offset_of!($T, $field), $offset);
                const_assert_eq!(size_behind(|value: &$T| &value.$field), $bytes);
            })*
        }
        const _: fn(&$T) = |value| {
            let $T { $($field: _),* } = value;
            $($($(let _: &$inner = &value.$field;)?)?)*
        };
    };

    (@union $T:ident $size:literal $align:tt {
        $($field:ident $offset:literal $bytes:literal $(($($inner:ident)?))?;)*
    }) => {
        // As above.
        #[allow(dead_code, reason = "only evaluated at compile time")]
        fn $T() {
            const_assert_eq!(size_of::<$T>(), $size);
            const_assert_eq!(align_of::<$T>(), $align);
            $(fn $field() {
                const_assert_eq!(offset_of_union!($T, $field), $offset);
                // SAFETY: never called; only its return type is used.
                const_assert_eq!(size_behind(|value: &$T| unsafe { &value.$field }), $bytes);
                const_assert_eq!($bytes, $size);
            })*
        }
    };
}

layout! {
    // sqe.rs
    struct io_uring_sqe 64 WORD {
        opcode 0 1; flags 1 1; ioprio 2 2; fd 4 4; off 8 8 (anonymous sqe_off);
        addr 16 8 (anonymous sqe_addr); len 24 4; op_flags 28 4 (anonymous sqe_op_flags);
        user_data 32 8; buf 40 2 (anonymous sqe_buf); personality 42 2;
        file 44 4 (anonymous sqe_file); tail 48 16 (anonymous sqe_tail);
    }
    union sqe_off 8 WORD {
        off 0 8; addr2 0 8; cmd 0 8 (anonymous sqe_cmd_op);
    }
    struct sqe_cmd_op 8 4 {
        cmd_op 0 4; __pad1 4 4;
    }
    union sqe_addr 8 WORD {
        addr 0 8; raw 0 8 (ours); splice_off_in 0 8; sockopt 0 8 (anonymous sqe_sockopt);
    }
    struct sqe_sockopt 8 4 {
        level 0 4; optname 4 4;
    }
    union sqe_op_flags 4 4 {
        raw 0 4 (ours); rw_flags 0 4; fsync_flags 0 4;
        poll_events 0 4 (anonymous sqe_poll_events); poll32_events 0 4; sync_range_flags 0 4;
        msg_flags 0 4; timeout_flags 0 4; accept_flags 0 4; cancel_flags 0 4; open_flags 0 4;
        statx_flags 0 4; fadvise_advice 0 4; splice_flags 0 4; rename_flags 0 4; unlink_flags 0 4;
        hardlink_flags 0 4; xattr_flags 0 4; msg_ring_flags 0 4; uring_cmd_flags 0 4;
        waitid_flags 0 4; futex_flags 0 4; install_fd_flags 0 4; nop_flags 0 4; pipe_flags 0 4;
    }
    struct sqe_poll_events 4 2 {
        poll_events 0 2; __rest 2 2 (ours);
    }
    union sqe_buf 2 2 {
        buf_index 0 2; buf_group 0 2;
    }
    union sqe_file 4 4 {
        splice_fd_in 0 4; file_index 0 4; zcrx_ifq_idx 0 4; optlen 0 4;
        addr_len 0 4 (anonymous sqe_addr_len); write_stream 0 4 (anonymous sqe_write_stream);
    }
    struct sqe_addr_len 4 2 {
        addr_len 0 2; __pad3 2 2;
    }
    struct sqe_write_stream 4 1 {
        write_stream 0 1; __pad4 1 3;
    }
    union sqe_tail 16 WORD {
        addr3 0 16 (anonymous sqe_addr3); attr 0 16 (anonymous sqe_attr);
        optval 0 16 (anonymous sqe_optval); cmd 0 16 (flexible); raw 0 16 (ours);
    }
    struct sqe_addr3 16 WORD {
        addr3 0 8; __pad2 8 8;
    }
    struct sqe_attr 16 WORD {
        attr_ptr 0 8; attr_type_mask 8 8;
    }
    struct sqe_optval 16 WORD {
        optval 0 8; __rest 8 8 (ours);
    }

    // ring.rs
    struct io_uring_cqe 16 WORD {
        user_data 0 8; res 8 4; flags 12 4; big_cqe 16 0;
    }
    struct io_uring_params 120 WORD {
        sq_entries 0 4; cq_entries 4 4; flags 8 4; sq_thread_cpu 12 4; sq_thread_idle 16 4;
        features 20 4; wq_fd 24 4; resv 28 12; sq_off 40 40 (nested io_sqring_offsets);
        cq_off 80 40 (nested io_cqring_offsets);
    }
    struct io_sqring_offsets 40 WORD {
        head 0 4; tail 4 4; ring_mask 8 4; ring_entries 12 4; flags 16 4; dropped 20 4;
        array 24 4; resv1 28 4; user_addr 32 8;
    }
    struct io_cqring_offsets 40 WORD {
        head 0 4; tail 4 4; ring_mask 8 4; ring_entries 12 4; overflow 16 4; cqes 20 4;
        flags 24 4; resv1 28 4; user_addr 32 8;
    }
    struct io_uring_getevents_arg 24 WORD {
        sigmask 0 8; sigmask_sz 8 4; min_wait_usec 12 4; ts 16 8;
    }
    struct io_uring_reg_wait 64 WORD {
        ts 0 16 (nested __kernel_timespec); min_wait_usec 16 4; flags 20 4; sigmask 24 8;
        sigmask_sz 32 4; pad 36 12; pad2 48 16;
    }
    struct __kernel_timespec 16 WORD {
        tv_sec 0 8; tv_nsec 8 8;
    }
    struct io_timespec 16 WORD {
        tv_sec 0 8; tv_nsec 8 8;
    }
    struct io_uring_attr_pi 32 WORD {
        flags 0 2; app_tag 2 2; len 4 4; addr 8 8; seed 16 8; rsvd 24 8;
    }
    struct io_uring_recvmsg_out 16 4 {
        namelen 0 4; controllen 4 4; payloadlen 8 4; flags 12 4;
    }
    struct open_how 24 WORD {
        flags 0 8; mode 8 8; resolve 16 8;
    }
    struct futex_waitv 24 WORD {
        val 0 8; uaddr 8 8; flags 16 4; __reserved 20 4;
    }

    // register.rs
    struct io_uring_rsrc_register 32 8 {
        nr 0 4; flags 4 4; resv2 8 8; data 16 8; tags 24 8;
    }
    struct io_uring_files_update 16 8 {
        offset 0 4; resv 4 4; fds 8 8;
    }
    struct io_uring_rsrc_update 16 8 {
        offset 0 4; resv 4 4; data 8 8;
    }
    struct io_uring_rsrc_update2 32 8 {
        offset 0 4; resv 4 4; data 8 8; tags 16 8; nr 24 4; resv2 28 4;
    }
    struct io_uring_probe_op 8 4 {
        op 0 1; resv 1 1; flags 2 2; resv2 4 4;
    }
    struct io_uring_probe 16 4 {
        last_op 0 1; ops_len 1 1; resv 2 2; resv2 4 12; ops 16 0;
    }
    struct io_uring_restriction 16 4 {
        opcode 0 2; arg 2 1 (anonymous restriction_arg); resv 3 1; resv2 4 12;
    }
    union restriction_arg 1 1 {
        register_op 0 1; sqe_op 0 1; sqe_flags 0 1;
    }
    struct io_uring_task_restriction 16 4 {
        flags 0 2; nr_res 2 2; resv 4 12; restrictions 16 0;
    }
    struct io_uring_clock_register 16 4 {
        clockid 0 4; __resv 4 12;
    }
    struct io_uring_clone_buffers 32 4 {
        src_fd 0 4; flags 4 4; src_off 8 4; dst_off 12 4; nr 16 4; pad 20 12;
    }
    struct io_uring_region_desc 64 WORD {
        user_addr 0 8; size 8 8; flags 16 4; id 20 4; mmap_offset 24 8; __resv 32 32;
    }
    struct io_uring_mem_region_reg 32 WORD {
        region_uptr 0 8; flags 8 8; __resv 16 16;
    }
    struct io_uring_buf 16 WORD {
        addr 0 8; len 8 4; bid 12 2; resv 14 2;
    }
    union io_uring_buf_ring 16 WORD {
        head 0 16 (anonymous buf_ring_head); bufs 0 16 (flexible);
    }
    struct buf_ring_head 16 WORD {
        resv1 0 8; resv2 8 4; resv3 12 2; tail 14 2;
    }
    struct io_uring_buf_reg 40 WORD {
        ring_addr 0 8; ring_entries 8 4; bgid 12 2; flags 14 2; min_left 16 4; resv 20 20;
    }
    struct io_uring_buf_status 40 4 {
        buf_group 0 4; head 4 4; resv 8 32;
    }
    struct io_uring_napi 16 4 {
        busy_poll_to 0 4; prefer_busy_poll 4 1; opcode 5 1; pad 6 2; op_param 8 4; resv 12 4;
    }
    struct io_uring_sync_cancel_reg 64 WORD {
        addr 0 8; fd 8 4; flags 12 4; timeout 16 16 (nested __kernel_timespec); opcode 32 1;
        pad 33 7; pad2 40 24;
    }
    struct io_uring_file_index_range 16 WORD {
        off 0 4; len 4 4; resv 8 8;
    }

    // query.rs
    struct io_uring_query_hdr 40 WORD {
        next_entry 0 8; query_data 8 8; query_op 16 4; size 20 4; result 24 4; __resv 28 12;
    }
    struct io_uring_query_opcode 48 WORD {
        nr_request_opcodes 0 4; nr_register_opcodes 4 4; feature_flags 8 8; ring_setup_flags 16 8;
        enter_flags 24 8; sqe_flags 32 8; nr_query_opcodes 40 4; __pad 44 4;
    }
    struct io_uring_query_zcrx 40 WORD {
        register_flags 0 8; area_flags 8 8; nr_ctrl_opcodes 16 4; features 20 4; rq_hdr_size 24 4;
        rq_hdr_alignment 28 4; __resv2 32 8;
    }
    struct io_uring_query_zcrx_event 48 WORD {
        event_flags 0 4; stats_size 4 4; stats_off_alignment 8 4; __resv1 12 4; __resv2 16 32;
    }
    struct io_uring_query_scq 16 WORD {
        hdr_size 0 8; hdr_alignment 8 8;
    }

    // zcrx.rs
    struct io_uring_zcrx_rqe 16 WORD {
        off 0 8; len 8 4; __pad 12 4;
    }
    struct io_uring_zcrx_cqe 16 WORD {
        off 0 8; __pad 8 8;
    }
    struct io_uring_zcrx_offsets 32 WORD {
        head 0 4; tail 4 4; rqes 8 4; __resv2 12 4; __resv 16 16;
    }
    struct io_uring_zcrx_area_reg 48 WORD {
        addr 0 8; len 8 8; rq_area_token 16 8; flags 24 4; dmabuf_fd 28 4; __resv2 32 16;
    }
    struct zcrx_stats 16 WORD {
        copy_count 0 8; copy_bytes 8 8;
    }
    struct zcrx_event_desc 96 WORD {
        user_data 0 8; type_mask 8 4; flags 12 4; stats_offset 16 8; __resv2 24 72;
    }
    struct io_uring_zcrx_ifq_reg 96 WORD {
        if_idx 0 4; if_rxq 4 4; rq_entries 8 4; flags 12 4; area_ptr 16 8; region_ptr 24 8;
        offsets 32 32 (nested io_uring_zcrx_offsets); zcrx_id 64 4; rx_buf_len 68 4;
        event_desc 72 8; __resv 80 16;
    }
    struct zcrx_ctrl_flush_rq 48 WORD {
        __resv 0 48;
    }
    struct zcrx_ctrl_export 48 4 {
        zcrx_fd 0 4; __resv1 4 44;
    }
    struct zcrx_ctrl_arm_event 48 4 {
        event_type 0 4; __resv 4 44;
    }
    struct zcrx_ctrl_add_area 48 WORD {
        area_ptr 0 8; __resv 8 40;
    }
    struct zcrx_ctrl 72 WORD {
        zcrx_id 0 4; op 4 4; __resv 8 16; arg 24 48 (anonymous zcrx_ctrl_arg);
    }
    union zcrx_ctrl_arg 48 WORD {
        zc_export 0 48 (nested zcrx_ctrl_export); zc_flush 0 48 (nested zcrx_ctrl_flush_rq);
        zc_arm_event 0 48 (nested zcrx_ctrl_arm_event);
        zc_area 0 48 (nested zcrx_ctrl_add_area);
    }

    // bpf_filter.rs
    struct io_uring_bpf_ctx 40 WORD {
        user_data 0 8; opcode 8 1; sqe_flags 9 1; pdu_size 10 1; pad 11 5;
        pdu 16 24 (anonymous bpf_ctx_pdu);
    }
    union bpf_ctx_pdu 24 WORD {
        socket 0 24 (anonymous bpf_ctx_socket_pdu); open 0 24 (nested bpf_ctx_open);
    }
    struct bpf_ctx_socket_pdu 24 4 {
        socket 0 12 (nested bpf_ctx_socket); __rest 12 12 (ours);
    }
    struct bpf_ctx_socket 12 4 {
        family 0 4; r#type 4 4; protocol 8 4;
    }
    struct bpf_ctx_open 24 WORD {
        flags 0 8; mode 8 8; resolve 16 8;
    }
    struct io_uring_bpf_filter 64 WORD {
        opcode 0 4; flags 4 4; filter_len 8 4; pdu_size 12 1; resv 13 3; filter_ptr 16 8;
        resv2 24 40;
    }
    struct io_uring_bpf 72 WORD {
        cmd_type 0 2; cmd_flags 2 2; resv 4 4; arg 8 64 (anonymous bpf_arg);
    }
    union bpf_arg 64 WORD {
        filter 0 64 (nested io_uring_bpf_filter);
    }
}
