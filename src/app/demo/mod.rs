//! `indicia demo`: the whole way on one machine, with a sample shop.

pub mod shop;
