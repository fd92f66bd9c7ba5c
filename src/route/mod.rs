//! Which model a request is for: by its path, and by the name it gives.

pub mod path;
mod table;

pub use table::Conflict;
pub use table::Entry;
pub use table::Table;
