//! How things look: colours, tables, timelines, progress bars, and the names of items.

pub(crate) mod attribute;
pub(crate) mod colour;
pub(crate) mod ending;
pub(crate) mod item;
pub(crate) mod live;
pub(crate) mod objects;
pub(crate) mod progress;
pub(crate) mod replay;
pub(crate) mod sealed;
pub(crate) mod table;
pub(crate) mod timeline;
