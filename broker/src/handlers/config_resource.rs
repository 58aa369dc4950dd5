//! What a configuration belongs to, as the admin APIs number it.

pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
