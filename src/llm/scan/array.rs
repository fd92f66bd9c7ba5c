//! Arrays that are entered, item by item.

use crate::llm::scan::Flaw;
use crate::llm::scan::Scan;
use crate::llm::scan::Syntax;

impl Scan<'_> {
    /// Whether an array begins here.
    pub(crate) fn is_at_array(&self) -> bool {
        self.byte() == Some(b'[')
    }

    /// Enters the array that begins here. Whether it has an item, which begins where the scan then is; if not, the array has
    /// been left again.
    pub(crate) fn enter_array(&mut self) -> Result<bool, Flaw> {
        self.open(true)?;
        if self.next_byte() == Some(b']') {
            self.close();
            return Ok(false);
        }
        Ok(true)
    }

    /// After an item of an array: whether another follows, which begins where the scan then is; if not, the array has been
    /// left.
    pub(crate) fn has_more_items(&mut self) -> Result<bool, Flaw> {
        match self.next_byte() {
            Some(b',') => {
                self.at += 1;
                self.next_byte();
                Ok(true)
            }
            Some(b']') => {
                self.close();
                Ok(false)
            }
            Some(_) => Err(self.flaw(Syntax::NoCommaOrBracket)),
            None => Err(self.flaw(Syntax::EndsEarly)),
        }
    }
}
