//! Which model a request is for: by its path, and by the name it gives; and which version of it.

pub mod path;
mod table;
pub mod versions;

pub use table::Conflict;
pub use table::Entry;
pub use table::Found;
pub use table::Table;
pub use versions::Route;
pub use versions::Shadow;
pub use versions::Why;
