//! Which tags an event leaves on a member: rules as data.

/// Tags that name a category start with this.
pub const INTEREST: &str = "interest:";
/// Tags that name a brand start with this.
pub const BRAND: &str = "brand:";
