//! Who listens on a TCP port.

use std::mem::{offset_of, size_of};

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, NO_ERROR};
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, MIB_TCP6ROW_OWNER_PID, MIB_TCP6TABLE_OWNER_PID, MIB_TCPROW_OWNER_PID,
    MIB_TCPTABLE_OWNER_PID, TCP_TABLE_OWNER_PID_LISTENER,
};

/// Address families, from "winsock2.h".
const AF_INET: u32 = 2;
const AF_INET6: u32 = 23;

/// The pids of those who listen on a port, each with its address: that of a version 4 address is mapped
/// into version 6. Where the system does not say whose a port is, nobody is named.
#[must_use]
pub fn listeners(port: u16) -> Vec<(std::net::Ipv6Addr, u32)> {
    let mut found = Vec::new();
    rows::<MIB_TCPROW_OWNER_PID>(AF_INET, offset_of!(MIB_TCPTABLE_OWNER_PID, table), |row| {
        let address = std::net::Ipv4Addr::from(row.dwLocalAddr.to_ne_bytes());
        if local_port(row.dwLocalPort) == port {
            found.push((address.to_ipv6_mapped(), row.dwOwningPid));
        }
    });
    rows::<MIB_TCP6ROW_OWNER_PID>(
        AF_INET6,
        offset_of!(MIB_TCP6TABLE_OWNER_PID, table),
        |row| {
            if local_port(row.dwLocalPort) == port {
                found.push((row.ucLocalAddr.into(), row.dwOwningPid));
            }
        },
    );
    found.retain(|(_, pid)| *pid != 0);
    found
}

/// A port stands in the first two bytes, the high one first.
fn local_port(field: u32) -> u16 {
    let [high, low, _, _] = field.to_ne_bytes();
    u16::from_be_bytes([high, low])
}

/// Goes through the rows of the table of one address family: `Row` has to be the row of that table.
fn rows<Row: Copy>(family: u32, first: usize, mut take: impl FnMut(Row)) {
    let mut room: u32 = 16 << 10;
    // The table may grow between two calls.
    for _ in 0..8 {
        let mut bytes = vec![0_u64; room as usize / size_of::<u64>() + 1];
        // SAFETY: there is room for as many bytes as is said.
        let result = unsafe {
            GetExtendedTcpTable(
                bytes.as_mut_ptr().cast(),
                &raw mut room,
                0,
                family,
                TCP_TABLE_OWNER_PID_LISTENER,
                0,
            )
        };
        if result == ERROR_INSUFFICIENT_BUFFER {
            room = room.saturating_add(room / 4);
            continue;
        }
        if result != NO_ERROR {
            return;
        }
        let start = bytes.as_ptr().cast::<u8>();
        // SAFETY: a table begins with the number of its rows.
        let count = unsafe { start.cast::<u32>().read() } as usize;
        let held = (bytes.len() * size_of::<u64>()).saturating_sub(first) / size_of::<Row>();
        for at in 0..count.min(held) {
            // SAFETY: the row lies within what we hold, and was written as this family's row: numbers
            // only, so that every pattern of bits is one.
            take(unsafe {
                start
                    .add(first + at * size_of::<Row>())
                    .cast::<Row>()
                    .read_unaligned()
            });
        }
        return;
    }
}
