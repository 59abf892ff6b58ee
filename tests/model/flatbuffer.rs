//! The few rules of FlatBuffers needed to find buffers in a file, written apart from the code under test.

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()))
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

fn i32_at(bytes: &[u8], at: usize) -> i64 {
    i64::from(i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()))
}

/// Where the field in `slot` of the table at `table` lies, if it is there.
fn field(bytes: &[u8], table: usize, slot: usize) -> Option<usize> {
    let vtable = (table as i64 - i32_at(bytes, table)) as usize;
    let entry = 4 + 2 * slot;
    let offset = if entry < u16_at(bytes, vtable) {
        u16_at(bytes, vtable + entry)
    } else {
        0
    };
    (offset != 0).then_some(table + offset)
}

/// Follows the offset stored at `at`.
fn target(bytes: &[u8], at: usize) -> usize {
    at + u32_at(bytes, at)
}

/// Start and length of the data vector of each buffer of a model; `None` where it is absent.
pub fn buffer_ranges(bytes: &[u8]) -> Vec<Option<(usize, usize)>> {
    const BUFFERS: usize = 4;
    const DATA: usize = 0;
    let model = target(bytes, 0);
    let Some(buffers) = field(bytes, model, BUFFERS) else {
        return Vec::new();
    };
    let buffers = target(bytes, buffers);
    (0..u32_at(bytes, buffers))
        .map(|i| {
            let buffer = target(bytes, buffers + 4 + 4 * i);
            let data = target(bytes, field(bytes, buffer, DATA)?);
            Some((data + 4, u32_at(bytes, data)))
        })
        .collect()
}
