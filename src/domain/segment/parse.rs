//! Tokens into a tree of what was written where (precedence climbing, after V. Pratt, "Top down operator precedence").

use std::ops::Range;

use super::ast::{Arithmetic, Comparison, Duration};
use super::error::Fault;
use super::lex::{self, Token, Word};
use super::vocabulary::nearest;
use super::{DEPTH_MAX, NODES_MAX};

type Parsed<T> = Result<T, Fault>;

/// A piece of the text, not yet checked for sense.
#[derive(Debug)]
pub(super) struct Raw {
    pub span: Range<usize>,
    pub node: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    Bool(bool),
    Number(f64),
    Percent(f64),
    Duration(Duration),
    Text(String),
    Name(String),
    Attribute(String),
    Call { name: String, arguments: Vec<Argument> },
    And(Vec<Raw>),
    Or(Vec<Raw>),
    Not(Box<Raw>),
    Compare { left: Box<Raw>, op: Comparison, right: Box<Raw> },
    Arithmetic { left: Box<Raw>, op: Arithmetic, right: Box<Raw> },
    Between { value: Box<Raw>, low: Box<Raw>, high: Box<Raw> },
    In { value: Box<Raw>, list: Vec<Raw> },
    Contains { value: Box<Raw>, text: Box<Raw> },
    StartsWith { value: Box<Raw>, text: Box<Raw> },
    IsSet(Box<Raw>),
}

#[derive(Debug)]
pub(super) struct Argument {
    pub name: Option<(String, Range<usize>)>,
    pub value: Raw,
}

/// How tightly operators bind; a greater number binds tighter.
mod binds {
    pub const OR: u8 = 1;
    pub const AND: u8 = 2;
    pub const TEST: u8 = 3;
    pub const SUM: u8 = 4;
    pub const TERM: u8 = 5;
}

/// The tree of a whole text.
pub(super) fn tree(text: &str) -> Parsed<Raw> {
    let mut parser = Parser { tokens: lex::tokens(text)?, at: 0, depth: 0, nodes: 0 };
    if *parser.peek() == Token::End {
        let span = parser.span();
        return Err(Fault::new(span, "an empty segment: write a condition, or `true` for everybody"));
    }
    let raw = parser.expression(binds::OR)?;
    match parser.peek() {
        Token::End => Ok(raw),
        Token::Sign(")" | "]") => Err(parser.unexpected("nothing: no bracket is open")),
        Token::Name(name) => Err(parser.misspelt(name)),
        _ => Err(parser.unexpected(OPERATOR)),
    }
}

const OPERATOR: &str = "an operator (`and`, `or`, `=`, `>=`, `in`, …) or the end";

struct Parser {
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    depth: usize,
    nodes: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at].1.clone()
    }

    /// Takes the next token; the end is never passed.
    fn next(&mut self) -> (Token, Range<usize>) {
        let taken = self.tokens[self.at].clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        taken
    }

    fn take(&mut self, token: &Token) -> bool {
        let is_next = self.peek() == token;
        if is_next {
            self.next();
        }
        is_next
    }

    fn take_sign(&mut self, sign: &'static str) -> bool {
        self.take(&Token::Sign(sign))
    }

    fn expect(&mut self, token: &Token, wanted: &str) -> Parsed<Range<usize>> {
        let span = self.span();
        if self.take(token) { Ok(span) } else { Err(self.unexpected(wanted)) }
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        Fault::new(self.span(), format!("expected {wanted}, found {}", self.peek().describe()))
    }

    /// A name where an operator must stand.
    fn misspelt(&self, name: &str) -> Fault {
        match nearest(name, Word::ALL.iter().map(|word| word.as_str())) {
            Some(near) => self.unexpected(&format!("{OPERATOR} (did you mean `{near}`?)")),
            None => self.unexpected(OPERATOR),
        }
    }

    fn raw(&mut self, start: usize, node: Node) -> Parsed<Raw> {
        let end = self.tokens[self.at.saturating_sub(1)].1.end;
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Fault::new(start..end, format!("a segment has at most {NODES_MAX} parts")));
        }
        Ok(Raw { span: start..end, node })
    }

    /// An expression of operators that bind at least as tightly as `least`.
    fn expression(&mut self, least: u8) -> Parsed<Raw> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::new(self.span(), format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let mut left = self.prefix()?;
        while let Some(binding) = self.operator().filter(|binding| *binding >= least) {
            if binding == binds::TEST && is_test(&left.node) {
                return Err(self.unexpected("`and` or `or`: conditions do not compare with each other"));
            }
            left = self.infix(left, binding)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// How tightly the operator ahead binds, if one is.
    fn operator(&self) -> Option<u8> {
        Some(match self.peek() {
            Token::Word(Word::Or) => binds::OR,
            Token::Word(Word::And) => binds::AND,
            Token::Word(Word::In | Word::Between | Word::Contains | Word::StartsWith | Word::Is | Word::Not) => {
                binds::TEST
            }
            Token::Sign("=" | "!=" | "<" | "<=" | ">" | ">=") => binds::TEST,
            Token::Sign("+" | "-") => binds::SUM,
            Token::Sign("*" | "/") => binds::TERM,
            _ => return None,
        })
    }

    fn infix(&mut self, left: Raw, binding: u8) -> Parsed<Raw> {
        let start = left.span.start;
        let node = match self.next().0 {
            Token::Word(Word::Or) => Node::Or(self.chain(left, Word::Or, binds::AND)?),
            Token::Word(Word::And) => Node::And(self.chain(left, Word::And, binds::TEST)?),
            Token::Word(Word::Between) => self.between(left)?,
            Token::Word(Word::In) => Node::In { value: Box::new(left), list: self.list()? },
            Token::Word(Word::Not) => {
                self.expect(&Token::Word(Word::In), "`in` after `not` (a condition is negated by a `not` before it)")?;
                let list = self.list()?;
                let inner = self.raw(start, Node::In { value: Box::new(left), list })?;
                Node::Not(Box::new(inner))
            }
            Token::Word(Word::Is) => {
                let negated = self.take(&Token::Word(Word::Not));
                self.expect(&Token::Word(Word::Set), "`set` or `not set` after `is`")?;
                let inner = self.raw(start, Node::IsSet(Box::new(left)))?;
                if !negated {
                    return Ok(inner);
                }
                Node::Not(Box::new(inner))
            }
            Token::Word(word) => {
                let (value, text) = (Box::new(left), Box::new(self.expression(binds::SUM)?));
                if word == Word::Contains { Node::Contains { value, text } } else { Node::StartsWith { value, text } }
            }
            Token::Sign(sign) => {
                let right = Box::new(self.expression(binding + 1)?);
                match (sign.parse::<Comparison>(), sign.parse::<Arithmetic>()) {
                    (Ok(op), _) => Node::Compare { left: Box::new(left), op, right },
                    (_, Ok(op)) => Node::Arithmetic { left: Box::new(left), op, right },
                    _ => unreachable!("`operator` names comparisons and arithmetic alone"),
                }
            }
            _ => unreachable!("`operator` names words and signs alone"),
        };
        self.raw(start, node)
    }

    /// The rest of `first and … and …`, the first `and` taken.
    fn chain(&mut self, first: Raw, word: Word, least: u8) -> Parsed<Vec<Raw>> {
        let mut all = vec![first, self.expression(least)?];
        while self.take(&Token::Word(word)) {
            all.push(self.expression(least)?);
        }
        Ok(all)
    }

    fn between(&mut self, value: Raw) -> Parsed<Node> {
        let low = self.expression(binds::SUM)?;
        self.expect(&Token::Word(Word::And), "`and` and the upper end of `between`")?;
        let high = self.expression(binds::SUM)?;
        Ok(Node::Between { value: Box::new(value), low: Box::new(low), high: Box::new(high) })
    }

    fn list(&mut self) -> Parsed<Vec<Raw>> {
        self.expect(&Token::Sign("["), "a list in brackets, as in `in [\"a\", \"b\"]`")?;
        let mut list = vec![self.expression(binds::SUM)?];
        while self.take_sign(",") {
            list.push(self.expression(binds::SUM)?);
        }
        self.expect(&Token::Sign("]"), "`,` or `]`")?;
        Ok(list)
    }

    fn prefix(&mut self) -> Parsed<Raw> {
        let (token, span) = self.next();
        let start = span.start;
        let node = match token {
            Token::Word(Word::Not) => Node::Not(Box::new(self.expression(binds::TEST)?)),
            Token::Word(Word::True) => Node::Bool(true),
            Token::Word(Word::False) => Node::Bool(false),
            Token::Number(number) => Node::Number(number),
            Token::Percent(percent) => Node::Percent(percent),
            Token::Duration(duration) => Node::Duration(duration),
            Token::Text(text) => Node::Text(text),
            Token::Name(name) => self.name(name)?,
            Token::Sign("(") => {
                let inner = self.expression(binds::OR)?;
                self.expect(&Token::Sign(")"), "`)`")?;
                return Ok(Raw { span: start..self.tokens[self.at - 1].1.end, node: inner.node });
            }
            Token::Sign("-") => match self.next() {
                (Token::Number(number), _) => Node::Number(-number),
                (_, span) => return Err(Fault::new(span, "expected a number after `-`")),
            },
            token => {
                let wanted = "a field, a function, a number, a text or `(`";
                return Err(Fault::new(span, format!("expected {wanted}, found {}", token.describe())));
            }
        };
        self.raw(start, node)
    }

    /// What a name begins: a field, an attribute or a call.
    fn name(&mut self, name: String) -> Parsed<Node> {
        if self.take_sign("(") {
            return Ok(Node::Call { name, arguments: self.arguments()? });
        }
        if name == "attr" && self.take_sign(".") {
            return match self.next() {
                (Token::Name(name) | Token::Text(name), _) => Ok(Node::Attribute(name)),
                (Token::Word(word), _) => Ok(Node::Attribute(word.as_str().to_owned())),
                (_, span) => {
                    Err(Fault::new(span, "expected an attribute's name, as in `attr.city` or `attr.\"any name\"`"))
                }
            };
        }
        Ok(Node::Name(name))
    }

    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        let mut arguments = Vec::new();
        while !self.take_sign(")") {
            if !arguments.is_empty() {
                self.expect(&Token::Sign(","), "`,` or `)`")?;
            }
            let ahead = (self.peek().clone(), self.tokens.get(self.at + 1).map(|next| &next.0));
            let name = match ahead {
                (Token::Name(name), Some(Token::Sign(":"))) => {
                    let span = self.next().1;
                    self.next();
                    Some((name, span))
                }
                _ => None,
            };
            arguments.push(Argument { name, value: self.expression(binds::SUM)? });
        }
        Ok(arguments)
    }
}

fn is_test(node: &Node) -> bool {
    matches!(
        node,
        Node::Compare { .. }
            | Node::Between { .. }
            | Node::In { .. }
            | Node::Contains { .. }
            | Node::StartsWith { .. }
            | Node::IsSet(_)
            | Node::And(_)
            | Node::Or(_)
            | Node::Not(_)
    )
}
