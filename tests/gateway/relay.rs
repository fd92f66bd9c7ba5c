//! Does what one side sends reach the other: all of it, at once, unaltered, in bounded memory - and what if a side fails?

mod deadlines;
mod events;
mod faults;
mod flow;
mod leaving;
mod reuse;
