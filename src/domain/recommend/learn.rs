//! Learning how much each sign counts: tables of what was done until an instant, and what some members bought after it.
//!
//! A purchase is a choice among the member's candidates (McFadden's conditional logit, 1974), asked twice: among all,
//! and among those the member had not bought. Newton's steps find the one best set of weights, the same every time.

use super::blend::{self, Own, SIGNS, Signs, Weights};
use super::log::Deed;
use super::tables::Tables;

/// The best sellers that everybody could have chosen.
const POPULAR: usize = 300;
/// Most candidates of one member.
const CANDIDATES_MAX: usize = 800;
/// Most members that are learned from.
pub const LEARNERS_MAX: usize = 4_000;
/// How far back a member's deeds are looked at, and how many products of them.
const OWN_MAX: usize = 100;
/// Fewer choices than this teach nothing.
const CHOICES_MIN: usize = 50;
/// How strongly weights are held to what they began with, in choices.
const HOLD: f64 = 20.0;
const STEPS_MAX: usize = 12;
/// How often a step is halved at most, and what rounding may take of the likelihood.
const HALVED_MAX: i32 = 8;
const TOLERANCE: f64 = 1e-6;

/// The products a member dealt with before an instant, the latest first.
pub fn own(past: &[Deed], now_ms: i64) -> Vec<Own> {
    let mut own: Vec<Own> = Vec::new();
    for deed in past.iter().rev() {
        let times = u32::from(deed.bought);
        match own.iter().position(|own| own.product == deed.product && (own.times > 0) == deed.bought) {
            Some(known) => own[known].times += times,
            None if own.len() < OWN_MAX => {
                own.push(Own { product: deed.product, times, age_ms: (now_ms - deed.at_ms) as f32 });
            }
            None => {}
        }
    }
    own
}

/// One question: candidates, which were chosen, and which the member had bought before.
struct Choice {
    signs: Vec<Signs>,
    chosen: Vec<bool>,
    new: Vec<bool>,
}

/// The weights under which what members bought from `tables.built_at_ms` on is likeliest.
pub fn learn<'a>(tables: &Tables, members: impl Iterator<Item = &'a [Deed]>) -> Weights {
    let popular = tables.best_sellers(POPULAR);
    let choices: Vec<Choice> = members.filter_map(|deeds| choice(tables, &popular, deeds)).take(LEARNERS_MAX).collect();
    if choices.len() < CHOICES_MIN { Weights::default() } else { climb(&choices) }
}

fn climb(choices: &[Choice]) -> Weights {
    let mut weights = Weights::default();
    let held = weights.0;
    let mut known = likelihood(choices, &weights, &held);
    for _ in 0..STEPS_MAX {
        let step = newton(choices, &weights, &held);
        // A step that leads too far, up a slope that bends, is halved until it leads up.
        let ahead = (0..HALVED_MAX).map(|halved| {
            let share = 0.5f64.powi(halved);
            let mut ahead = weights;
            ahead.0.iter_mut().zip(step).for_each(|(weight, step)| *weight += (share * step) as f32);
            (likelihood(choices, &ahead, &held), ahead)
        });
        let Some((likelier, ahead)) = ahead.into_iter().find(|(ahead, _)| *ahead >= known - TOLERANCE) else { break };
        (known, weights) = (likelier, ahead);
        if step.iter().all(|step| step.abs() < 1e-4) {
            break;
        }
    }
    weights
}

/// How likely the choices are under these weights, as a logarithm, less how far those are from what they began with.
fn likelihood(choices: &[Choice], weights: &Weights, held: &Signs) -> f64 {
    let off = weights.0.iter().zip(held).map(|(weight, held)| f64::from(weight - held).powi(2)).sum::<f64>();
    let asked = choices.iter().flat_map(|choice| [(choice, false), (choice, true)]);
    asked.map(|(choice, only_new)| choice.likelihood(weights, only_new)).sum::<f64>() - HOLD / 2.0 * off
}

impl Choice {
    fn likelihood(&self, weights: &Weights, only_new: bool) -> f64 {
        let asked = (0..self.signs.len()).filter(|at| !only_new || self.new[*at]);
        let scores: Vec<(f64, bool)> =
            asked.map(|at| (f64::from(weights.score(&self.signs[at])), self.chosen[at])).collect();
        let chosen = scores.iter().filter(|(_, chosen)| *chosen).count();
        if chosen == 0 {
            return 0.0;
        }
        let highest = scores.iter().map(|(score, _)| *score).fold(f64::MIN, f64::max);
        let odds = scores.iter().map(|(score, _)| (score - highest).exp()).sum::<f64>().ln() + highest;
        scores.iter().filter(|(_, chosen)| *chosen).map(|(score, _)| score / chosen as f64).sum::<f64>() - odds
    }
}

fn choice(tables: &Tables, popular: &[u32], deeds: &[Deed]) -> Option<Choice> {
    let (past, future) = deeds.split_at(deeds.partition_point(|deed| deed.at_ms < tables.built_at_ms));
    if past.is_empty() || !future.iter().any(|deed| deed.bought) {
        return None;
    }
    let own = own(past, tables.built_at_ms);
    let mut candidates = blend::signs(tables, &own);
    for product in popular {
        candidates.entry(*product).or_insert_with(|| blend::common(tables, *product));
    }
    let bought = |product: &u32| future.iter().any(|deed| deed.bought && deed.product == *product);
    // Of too many candidates those that were not bought are drawn evenly, which leaves the weights what they are
    // (McFadden, "Modelling the choice of residential location", 1978).
    let all = candidates.len();
    let is_drawn = |nth: usize| nth * CANDIDATES_MAX % all < CANDIDATES_MAX;
    let drawn = candidates.into_iter().enumerate().filter(|(nth, (product, _))| is_drawn(*nth) || bought(product));
    let candidates: Vec<(u32, Signs)> = drawn.map(|(_, candidate)| candidate).collect();
    let had = |product: &u32| own.iter().any(|own| own.times > 0 && own.product == *product);
    Some(Choice {
        chosen: candidates.iter().map(|(product, _)| bought(product)).collect(),
        new: candidates.iter().map(|(product, _)| !had(product)).collect(),
        signs: candidates.into_iter().map(|(_, signs)| signs).collect(),
    })
}

type Step = [f64; SIGNS];

/// One step up the likelihood: the gradient through the inverse of the curvature.
fn newton(choices: &[Choice], weights: &Weights, held: &Signs) -> Step {
    let mut gradient = [0f64; SIGNS];
    let mut curve = [[0f64; SIGNS]; SIGNS];
    for at in 0..SIGNS {
        gradient[at] = HOLD * f64::from(held[at] - weights.0[at]);
        curve[at][at] = HOLD;
    }
    for choice in choices {
        for only_new in [false, true] {
            slope(choice, weights, only_new, &mut gradient, &mut curve);
        }
    }
    solve(curve, gradient)
}

fn slope(choice: &Choice, weights: &Weights, only_new: bool, gradient: &mut Step, curve: &mut [Step; SIGNS]) {
    let asked = || (0..choice.signs.len()).filter(|at| !only_new || choice.new[*at]);
    let chosen = asked().filter(|at| choice.chosen[*at]).count() as f64;
    if chosen == 0.0 {
        return;
    }
    let scores: Vec<f32> = asked().map(|at| weights.score(&choice.signs[at])).collect();
    let highest = scores.iter().copied().fold(f32::MIN, f32::max);
    let odds: Vec<f64> = scores.iter().map(|score| f64::from(score - highest).exp()).collect();
    let all: f64 = odds.iter().sum();
    let mut mean = [0f64; SIGNS];
    for (at, odds) in asked().zip(&odds) {
        let (chance, signs) = (odds / all, choice.signs[at].map(f64::from));
        let taken = f64::from(u8::from(choice.chosen[at])) / chosen;
        for a in 0..SIGNS {
            gradient[a] += (taken - chance) * signs[a];
            mean[a] += chance * signs[a];
            for b in 0..=a {
                curve[a][b] += chance * signs[a] * signs[b];
            }
        }
    }
    for a in 0..SIGNS {
        for b in 0..=a {
            curve[a][b] -= mean[a] * mean[b];
        }
    }
}

/// Solves `curve · x = gradient` by Cholesky's way; `curve` is given by its lower half.
fn solve(mut curve: [Step; SIGNS], mut x: Step) -> Step {
    for a in 0..SIGNS {
        for b in 0..=a {
            let sum: f64 = curve[a][b] - (0..b).map(|c| curve[a][c] * curve[b][c]).sum::<f64>();
            curve[a][b] = if a == b { sum.max(1e-9).sqrt() } else { sum / curve[b][b] };
        }
        x[a] = (x[a] - (0..a).map(|c| curve[a][c] * x[c]).sum::<f64>()) / curve[a][a];
    }
    for a in (0..SIGNS).rev() {
        x[a] = (x[a] - (a + 1..SIGNS).map(|c| curve[c][a] * x[c]).sum::<f64>()) / curve[a][a];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_of_equations_is_solved() {
        let mut curve = [[0f64; SIGNS]; SIGNS];
        (0..SIGNS).for_each(|at| curve[at][at] = 2.0);
        curve[1][0] = 1.0;
        let mut wanted = [0f64; SIGNS];
        (wanted[0], wanted[1], wanted[2]) = (4.0, 5.0, 6.0);
        let x = solve(curve, wanted);
        assert!((x[0] - 1.0).abs() < 1e-12 && (x[1] - 2.0).abs() < 1e-12 && (x[2] - 3.0).abs() < 1e-12, "{x:?}");
    }

    #[test]
    fn the_likeliest_weights_are_found_where_a_whole_step_leads_astray() {
        // One of a hundred bears a sign, and half choose it: the slope is steep, and bends at once.
        let choice = |nth: usize| {
            let chosen = if nth.is_multiple_of(2) { 0 } else { 1 + nth % 99 };
            let mut signs = vec![[0.0; SIGNS]; 100];
            signs[0][2] = 1.0;
            Choice { signs, chosen: (0..100).map(|at| at == chosen).collect(), new: vec![true; 100] }
        };
        let choices: Vec<Choice> = (0..1_000).map(choice).collect();
        let (weights, held) = (climb(&choices), Weights::default().0);
        let rest = newton(&choices, &weights, &held);
        assert!(rest.iter().all(|step| step.abs() < 1e-3), "{weights:?} and still {rest:?} to go");
        assert!((weights.0[2] - 99f32.ln()).abs() < 0.3, "{weights:?}");
    }
}
