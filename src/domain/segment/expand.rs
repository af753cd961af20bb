//! `in_segment` replaced by what it names.

use std::collections::BTreeSet;

use super::EXPANDED_NODES_MAX;
use super::ast::{Segment, Value};

/// Why a segment that names others cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    #[error("in_segment({name:?}): there is no saved segment of that name{}", near.as_ref().map(|near| format!("; did you mean {near:?}?")).unwrap_or_default())]
    Unknown { name: String, near: Option<String> },
    #[error("segments that stand in each other: {}", path.join(" in "))]
    Cycle { path: Vec<String> },
    #[error("with the segments it names it has more than {EXPANDED_NODES_MAX} parts")]
    TooLarge,
}

/// `segment` with every `in_segment` replaced by the tree that `find` gives for its name.
///
/// # Errors
/// An unknown name, a cycle, or too large a result.
pub fn expand<'s>(segment: &Segment, find: &dyn Fn(&str) -> Option<&'s Segment>) -> Result<Segment, ExpandError> {
    let mut expander = Expander { find, path: Vec::new(), nodes: 0 };
    expander.expand(segment)
}

struct Expander<'f, 's> {
    find: &'f dyn Fn(&str) -> Option<&'s Segment>,
    path: Vec<String>,
    nodes: usize,
}

impl Expander<'_, '_> {
    fn expand(&mut self, segment: &Segment) -> Result<Segment, ExpandError> {
        if let Segment::InSegment(name) = segment {
            return self.inline(name);
        }
        self.nodes += segment.own_nodes();
        if self.nodes > EXPANDED_NODES_MAX {
            return Err(ExpandError::TooLarge);
        }
        let mut all = |parts: &[Segment]| parts.iter().map(|part| self.expand(part)).collect::<Result<Vec<_>, _>>();
        Ok(match segment {
            Segment::And(parts) => Segment::And(all(parts)?),
            Segment::Or(parts) => Segment::Or(all(parts)?),
            Segment::Not(inner) => Segment::Not(Box::new(self.expand(inner)?)),
            leaf => leaf.clone(),
        })
    }

    fn inline(&mut self, name: &str) -> Result<Segment, ExpandError> {
        let cycle = self.path.iter().any(|outer| outer == name);
        self.path.push(name.to_owned());
        if cycle {
            return Err(ExpandError::Cycle { path: self.path.clone() });
        }
        let found = (self.find)(name).ok_or_else(|| ExpandError::Unknown { name: name.to_owned(), near: None })?;
        let expanded = self.expand(found)?;
        self.path.pop();
        Ok(expanded)
    }
}

impl Segment {
    /// The segments named in it, directly.
    pub fn named_segments(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.each(&mut |segment| {
            if let Segment::InSegment(name) = segment {
                names.insert(name.as_str());
            }
        });
        names
    }

    /// Visits every condition of the tree, itself first.
    pub fn each<'s>(&'s self, visit: &mut dyn FnMut(&'s Segment)) {
        visit(self);
        match self {
            Segment::And(parts) | Segment::Or(parts) => parts.iter().for_each(|part| part.each(visit)),
            Segment::Not(inner) => inner.each(visit),
            _ => {}
        }
    }

    /// The values it compares, without those of the conditions in it.
    pub fn values(&self) -> Vec<&Value> {
        match self {
            Segment::Compare { left, right, .. } => vec![left, right],
            Segment::Between { value, low, high } => vec![value, low, high],
            Segment::In { value, .. }
            | Segment::Contains { value, .. }
            | Segment::StartsWith { value, .. }
            | Segment::IsSet(value) => vec![value],
            _ => Vec::new(),
        }
    }

    fn own_nodes(&self) -> usize {
        let listed = if let Segment::In { list, .. } = self { list.len() } else { 0 };
        1 + listed + self.values().into_iter().map(Value::nodes).sum::<usize>()
    }
}

impl Value {
    /// Visits every value in it, itself first.
    pub fn each<'v>(&'v self, visit: &mut dyn FnMut(&'v Value)) {
        visit(self);
        if let Value::Arithmetic { left, right, .. } = self {
            left.each(visit);
            right.each(visit);
        }
    }

    fn nodes(&self) -> usize {
        let mut n = 0;
        self.each(&mut |_| n += 1);
        n
    }
}
