//! The inner loop: how far a string goes on without anything special.

/// Bytes in one of the vectors that every machine has.
const BLOCK: usize = 16;

/// Length of the run of bytes at the start of `bytes` that mean themselves inside a string.
#[inline]
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    // Most strings that are no text of a message end in the first block.
    if let Some(block) = bytes.first_chunk::<BLOCK>()
        && has_stop(block)
    {
        return first_stop(block);
    }
    let mut length = 0;
    for blocks in bytes.as_chunks::<{ 2 * BLOCK }>().0 {
        if has_stop(blocks) {
            break;
        }
        length += 2 * BLOCK;
    }
    let rest = bytes.get(length..).unwrap_or_default();
    for block in rest.as_chunks::<BLOCK>().0 {
        if has_stop(block) {
            return length + first_stop(block);
        }
        length += BLOCK;
    }
    // Only the last bytes of a body come here.
    let rest = bytes.get(length..).unwrap_or_default();
    length + rest.iter().take_while(|&&byte| !is_stop(byte)).count()
}

const fn is_stop(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Whether any of the bytes is a stop; written so that it compiles to a few vector instructions.
#[inline]
fn has_stop<const LENGTH: usize>(block: &[u8; LENGTH]) -> bool {
    block.iter().fold(0, |found, &byte| {
        found | u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20)
    }) != 0
}

/// Where the first stop is in a block that has one.
#[inline]
fn first_stop(block: &[u8; BLOCK]) -> usize {
    let [first, second] = [0, 8].map(|start| {
        let mut word = [0; 8];
        word.copy_from_slice(&block[start..start + 8]);
        stops_in(u64::from_le_bytes(word))
    });
    let (start, stops) = if first == 0 { (8, second) } else { (0, first) };
    start + (stops.trailing_zeros() / 8) as usize
}

/// The high bit of each byte that is a stop, the first byte lowest; above the lowest one there may be false ones.
#[inline]
const fn stops_in(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let quotes = word ^ (ONES * 0x22);
    let backslashes = word ^ (ONES * 0x5c);
    let stops = (quotes.wrapping_sub(ONES) & !quotes)
        | (backslashes.wrapping_sub(ONES) & !backslashes)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    stops & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stop_is_found_wherever_it_is() {
        let mut bytes = [0; 120];
        for fill in [b' ', b'a', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff, 0xa2, 0xdc] {
            bytes.fill(fill);
            for length in 0..bytes.len() {
                assert_eq!(plain_length(&bytes[..length]), length);
            }
            for stop in (0..0x20).chain([b'"', b'\\']) {
                for at in 0..bytes.len() {
                    bytes[at] = stop;
                    assert_eq!(plain_length(&bytes), at, "{stop} after {fill}");
                    bytes[at] = fill;
                }
            }
        }
    }

    #[test]
    fn every_byte_is_judged_alike_in_every_place() {
        for byte in 0..=u8::MAX {
            for length in [1, 8, 32, 64, 70] {
                let bytes = vec![byte; length];
                assert_eq!(plain_length(&bytes), if is_stop(byte) { 0 } else { length });
            }
        }
    }
}
