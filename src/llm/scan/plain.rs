//! The inner loop: how far a string goes on without anything special.

/// Length of the run of bytes at the start of `bytes` that mean themselves inside a string.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    let mut rest = bytes;
    for _ in 0..4 {
        let Some((word, after)) = rest.split_first_chunk::<8>() else { break };
        let stops = stops_in(u64::from_le_bytes(*word));
        if stops != 0 {
            return length + (stops.trailing_zeros() / 8) as usize;
        }
        length += 8;
        rest = after;
    }
    let (blocks, _) = rest.as_chunks::<32>();
    for block in blocks {
        if has_stop(block) {
            break;
        }
        length += 32;
    }
    let rest = bytes.get(length..).unwrap_or_default();
    let (words, tail) = rest.as_chunks::<8>();
    for word in words {
        let stops = stops_in(u64::from_le_bytes(*word));
        if stops != 0 {
            return length + (stops.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + tail.iter().take_while(|&&byte| !is_stop(byte)).count()
}

const fn is_stop(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// Whether any of the bytes is a stop; written so that it compiles to vector instructions.
fn has_stop(block: &[u8; 32]) -> bool {
    block.iter().fold(0, |found, &byte| {
        found | u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20)
    }) != 0
}

/// The high bit of each byte that is a stop; above the lowest one there may be false ones.
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
