//! `indicia recommend`: the tables behind recommendations, and how good they are.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::failure::write_out;
use super::{Exit, Failure, Fix, Global, Session};
use crate::base::World;
use crate::domain::recommend::care::Cares;
use crate::domain::recommend::evaluate::{
    self, CategoryPopularity, Facet, Interval, ItemKnn, K_MAX, Measure, Method, Ours, PersonalTop, Popularity, Ruled,
    Run, Similarity, TifuKnn, Trial,
};
use crate::flow::{intake, relate};

/// Build and judge product recommendations
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Build the tables that products are picked by, from all orders and looks; a build cut short goes on
    Build,
    /// Foretell the purchases of a file after a date from what it says before it, and count how many came true
    Evaluate(Evaluate),
}

/// What to evaluate.
#[derive(Debug, clap::Args)]
pub struct Evaluate {
    /// Orders or events, as they are imported
    file: PathBuf,
    /// Learn from what was done before this day (UTC) or instant, and foretell what was bought from then on
    #[arg(long, value_name = "DATE")]
    split: String,
    /// Products in a list
    #[arg(long, default_value_t = 6)]
    k: usize,
    /// Products as they are imported, for their categories
    #[arg(long, value_name = "FILE")]
    products: Option<PathBuf>,
    /// What is known of categories, as config/categories.toml says it [default: everything is bought again and again]
    #[arg(long, value_name = "FILE")]
    categories: Option<PathBuf>,
    /// What the draws of the intervals begin with
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub async fn run(command: Command, global: &Global) -> Result<Exit, Failure> {
    match command {
        Command::Build => {
            let session = global.session().await?;
            let built = build(&session).await;
            session.db.close().await;
            built
        }
        Command::Evaluate(asked) => {
            let json = global.json;
            tokio::task::spawn_blocking(move || evaluate(&asked, json)).await?
        }
    }
}

async fn build(session: &Session) -> Result<Exit, Failure> {
    let bar = ProgressBar::new(0);
    let style = "{msg} {wide_bar} {percent:>3} %  {elapsed} left {eta}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let last = Mutex::new(relate::Progress::default());
    let told = |progress: relate::Progress| {
        bar.set_length(progress.of_members.max(0).unsigned_abs());
        bar.set_position(progress.members.max(0).unsigned_abs());
        bar.set_message(format!("{} deeds", progress.deeds));
        *last.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    };
    let built = relate::build(&session.db, &session.world, &told).await;
    bar.finish_and_clear();
    let tables =
        built.fix("run the same command again: it goes on where this one stopped, after five minutes at most")?;
    let relate::Progress { deeds, resumed, .. } = *last.lock().unwrap_or_else(PoisonError::into_inner);
    let pairs = tables.bought.pairs() + tables.viewed.pairs();
    let (products, bytes) = (tables.ids.len(), tables.resident_bytes());
    let value = json!({ "products": products, "deeds": deeds, "pairs": pairs, "bytes": bytes, "resumed": resumed });
    session.show(
        &value,
        format!("{products} products, {deeds} purchases and looks, {pairs} pairs kept in {bytes} bytes"),
    )?;
    Ok(Exit::Done)
}

fn evaluate(asked: &Evaluate, json: bool) -> Result<Exit, Failure> {
    let split_ms = instant_ms(&asked.split)
        .ok_or_else(|| Failure::new(format!("--split {:?} is no date", asked.split)).fix("write 2026-10-01"))?;
    if !(1..=K_MAX).contains(&asked.k) {
        return Err(Failure::new(format!("--k is {}, must be 1 to {K_MAX}", asked.k)));
    }
    let now_ms = World::system().now_ms();
    let named = |path: &Path| format!("could not read {}", path.display());
    let reading = intake::read(&asked.file, asked.products.as_deref(), now_ms)
        .map_err(|error| Failure::new(format!("{}: {error}", named(&asked.file))))
        .fix("give a file of orders or events as `indicia import` takes it")?;
    if let Some(first) = &reading.first_rejected {
        eprintln!("{} of {} rows were left out; the first: {first}", reading.rejected, reading.rows);
    }
    let cares = match &asked.categories {
        None => Cares::all_repeatable(),
        Some(file) => {
            let text =
                std::fs::read_to_string(file).map_err(|error| Failure::new(format!("{}: {error}", named(file))))?;
            Cares::parse(&text, &file.display().to_string())?
        }
    };
    let trial = Trial::new(&reading.log, split_ms);
    if trial.members() == 0 {
        let what =
            format!("nobody in {} did something before {} and bought from then on", asked.file.display(), asked.split);
        return Err(Failure::new(what).fix("choose --split between the first and the last purchase"));
    }
    let runs: Vec<Run> = methods(&trial, &cares).iter().map(|method| trial.run(&**method, asked.k)).collect();
    let table = Table { asked, trial: &trial, runs };
    write_out(&if json { format!("{}\n", table.json()) } else { table.words() })?;
    Ok(Exit::Done)
}

/// A day, taken as its first instant in UTC, or an instant.
fn instant_ms(text: &str) -> Option<i64> {
    let day = || Some(text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    text.parse::<jiff::Timestamp>().ok().or_else(day).map(jiff::Timestamp::as_millisecond)
}

/// Every method that is compared, ours last.
fn methods(trial: &Trial<'_>, cares: &Cares) -> Vec<Box<dyn Method>> {
    let mut all: Vec<Box<dyn Method>> =
        vec![Box::new(Popularity), Box::new(CategoryPopularity::new(trial)), Box::new(PersonalTop)];
    all.extend(Similarity::ALL.map(|similarity| Box::new(ItemKnn::new(trial, similarity)) as Box<dyn Method>));
    all.push(Box::new(TifuKnn::new(trial)));
    let ours = Ours::new(trial);
    all.push(Box::new(Ruled::new(trial, ours.tables(), cares)));
    all.push(Box::new(ours));
    all
}

/// How all methods did.
struct Table<'a> {
    asked: &'a Evaluate,
    trial: &'a Trial<'a>,
    runs: Vec<Run>,
}

impl Table<'_> {
    fn json(&self) -> Value {
        let methods: Vec<Value> = self.runs.iter().map(|run| self.method(run)).collect();
        let by_facet = |facet: &Facet| (facet.to_string(), self.runs.first().map_or(0, |run| run.members(*facet)));
        json!({
            "split_ms": self.trial.split_ms(),
            "k": self.asked.k,
            "seed": self.asked.seed,
            "resamples": evaluate::RESAMPLES,
            "members": Facet::ALL.iter().map(by_facet).collect::<std::collections::BTreeMap<_, _>>(),
            "products": self.trial.by_popularity.len(),
            "methods": methods,
        })
    }

    fn method(&self, run: &Run) -> Value {
        let of = |facet: Facet| {
            let interval = |measure: &Measure| (measure.to_string(), json!(self.mean(run, facet, *measure)));
            Measure::ALL.iter().map(interval).collect::<Map<_, _>>()
        };
        let mut value = Map::new();
        value.insert("method".into(), json!(run.name));
        value.insert("coverage".into(), json!(run.coverage(self.trial)));
        if let Some(ours) = self.runs.last().filter(|ours| ours.name != run.name) {
            let beyond = |facet: &Facet| {
                let than = |measure: &Measure| ours.beyond(run, *facet, *measure, self.asked.seed);
                let by_measure = Measure::ALL.iter().map(|measure| (measure.to_string(), json!(than(measure))));
                (facet.to_string(), Value::Object(by_measure.collect()))
            };
            value.insert("indicia_beyond".into(), Value::Object(Facet::ALL.iter().map(beyond).collect()));
        }
        value.extend(Facet::ALL.iter().map(|facet| (facet.to_string(), Value::Object(of(*facet)))));
        Value::Object(value)
    }

    fn mean(&self, run: &Run, facet: Facet, measure: Measure) -> Interval {
        run.mean(facet, measure, self.asked.seed)
    }

    fn words(&self) -> String {
        let mut out = format!(
            "{} members, {} products, split at {}, lists of {}; 95 % intervals by {} draws of the members\n",
            self.trial.members(),
            self.trial.by_popularity.len(),
            self.asked.split,
            self.asked.k,
            evaluate::RESAMPLES
        );
        for facet in Facet::ALL {
            let members = self.runs.first().map_or(0, |run| run.members(*facet));
            let _ = writeln!(
                out,
                "\n{:<24}{:<23}{:<23}{:<23}{:<23}coverage",
                format!("{facet} ({members} members)"),
                "hit rate",
                "recall",
                "mrr",
                "ndcg"
            );
            for run in &self.runs {
                let _ = write!(out, "  {:<22}", run.name);
                for measure in Measure::ALL {
                    let Interval { mean, low, high } = self.mean(run, *facet, *measure);
                    let _ = write!(out, "{:<23}", format!("{mean:.4} [{low:.4} {high:.4}]"));
                }
                let _ = writeln!(out, "{:.3}", run.coverage(self.trial));
            }
        }
        self.differences(&mut out);
        out
    }

    /// How much more ours is than each other, member by member.
    fn differences(&self, out: &mut String) {
        let Some((ours, others)) = self.runs.split_last() else { return };
        for facet in Facet::ALL {
            let _ = write!(out, "\n{:<24}", format!("{facet}: {} beyond", ours.name));
            for measure in Measure::ALL {
                let _ = write!(out, "{measure:<27}");
            }
            for run in others {
                let _ = write!(out, "\n  {:<22}", run.name);
                for measure in Measure::ALL {
                    let Interval { mean, low, high } = ours.beyond(run, *facet, *measure, self.asked.seed);
                    let _ = write!(out, "{:<27}", format!("{mean:+.4} [{low:+.4} {high:+.4}]"));
                }
            }
            out.push('\n');
        }
    }
}
