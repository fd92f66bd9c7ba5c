//! What credentials a head carries, before any of them is believed.
