//! Walks through documents of which a few members count.

use crate::llm::request::Likeness;
use crate::llm::request::likeness;
use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Text;
use crate::llm::scan::Value;

/// Whether `key`, decoded, is `name`.
#[inline]
pub(in crate::llm) fn is(key: &Text<'_>, name: &str) -> bool {
    likeness(key, name) == Likeness::Same
}

/// Has `look` pass over the value of each member of the whole of `document`. What is no object has none.
pub(in crate::llm) fn document<'b>(
    document: &'b [u8],
    look: impl FnMut(&Text<'b>, &mut Scan<'b>) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    let mut scan = Scan::new(document)?;
    members(&mut scan, look)?;
    scan.finish()
}

/// Has `look` pass over the value of each member of the object that begins here. What is no object is passed over.
pub(in crate::llm) fn members<'b>(
    scan: &mut Scan<'b>,
    mut look: impl FnMut(&Text<'b>, &mut Scan<'b>) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    if !scan.is_at_object() {
        return scan.skip();
    }
    let mut has_member = scan.enter_object()?;
    while has_member {
        let key = scan.key()?;
        look(&key, scan)?;
        has_member = scan.has_more_members()?;
    }
    Ok(())
}

/// Has `look` pass over each item of the array that begins here. What is no array is passed over.
pub(in crate::llm) fn items<'b>(
    scan: &mut Scan<'b>,
    mut look: impl FnMut(&mut Scan<'b>) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    if !scan.is_at_array() {
        return scan.skip();
    }
    let mut has_item = scan.enter_array()?;
    while has_item {
        look(scan)?;
        has_item = scan.has_more_items()?;
    }
    Ok(())
}

/// Passes over a value: the string that it is. An empty one is as good as none.
pub(in crate::llm) fn text<'b>(scan: &mut Scan<'b>) -> Result<Option<Text<'b>>, Flaw> {
    match scan.value()? {
        Value::Text(text) if !text.raw.is_empty() => Ok(Some(text)),
        _ => Ok(None),
    }
}

/// Passes over a value: the string that is its member `name`, if it is an object with one.
pub(in crate::llm) fn text_in<'b>(
    scan: &mut Scan<'b>,
    name: &str,
) -> Result<Option<Text<'b>>, Flaw> {
    let mut found = None;
    members(scan, |key, scan| {
        if is(key, name) {
            found = text(scan)?;
        } else {
            scan.skip()?;
        }
        Ok(())
    })?;
    Ok(found)
}

/// Passes over a value: whether it is an object whose member `name` is one.
pub(in crate::llm) fn has_object(scan: &mut Scan<'_>, name: &str) -> Result<bool, Flaw> {
    let mut found = false;
    members(scan, |key, scan| {
        if is(key, name) {
            found = scan.is_at_object();
        }
        scan.skip()
    })?;
    Ok(found)
}

/// Passes over a value: the number in digits that it is; one beyond `u32::MAX` counts as that.
pub(in crate::llm) fn count(scan: &mut Scan<'_>) -> Result<Option<u32>, Flaw> {
    let Value::Number(number) = scan.value()? else { return Ok(None) };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    Ok(Some(number.parse().unwrap_or(u32::MAX)))
}

/// Passes over a value: whether it is `true`.
pub(in crate::llm) fn flag(scan: &mut Scan<'_>) -> Result<bool, Flaw> {
    Ok(scan.value()? == Value::Flag(true))
}

/// Passes over a value: whether it is anything but `null`, `[]` or `{}`.
pub(in crate::llm) fn is_something(scan: &mut Scan<'_>) -> Result<bool, Flaw> {
    if scan.is_at_array() {
        let mut is_filled = false;
        items(scan, |scan| {
            is_filled = true;
            scan.skip()
        })?;
        return Ok(is_filled);
    }
    if scan.is_at_object() {
        let mut is_filled = false;
        members(scan, |_, scan| {
            is_filled = true;
            scan.skip()
        })?;
        return Ok(is_filled);
    }
    Ok(scan.value()? != Value::Null)
}
