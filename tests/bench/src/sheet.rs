//! The figures, each beside its budget and the most that it may be today.

use std::fmt::Display;

/// Instructions, and memory.
#[derive(Debug)]
pub(crate) struct Cost {
    /// From the start until it asks for its first event.
    pub(crate) ready: u64,
    /// From the start until it has answered one and asks for the second.
    pub(crate) first: u64,
    pub(crate) warm: u64,
    pub(crate) peak_kib: u64,
}

/// What a figure should be, where that was said, and what it must not exceed: a little more than it is today, so that a
/// change that makes it worse is noticed.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) budget: Option<f64>,
    pub(crate) ceiling: f64,
}

impl Limit {
    pub(crate) const fn budget(budget: f64, ceiling: f64) -> Self {
        Self { budget: Some(budget), ceiling }
    }

    pub(crate) const fn ceiling(ceiling: f64) -> Self {
        Self { budget: None, ceiling }
    }
}

/// What a function may cost.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// To its first answer, as a multiple of [`Sheet::beside`]'s function. It is a ratio within one run because another
    /// compiler or valgrind moves both.
    pub(crate) first: Limit,
    /// Thousands of instructions.
    pub(crate) warm: Limit,
}

/// Peak memory of a function that is idle after one call, in MiB.
const PEAK: Limit = Limit::budget(12.0, 12.0);
/// A function as Lambda stores it, in MB.
const DEFLATED: Limit = Limit::budget(2.6, 3.5);

pub(crate) struct Sheet {
    reference: u64,
    kept: bool,
}

impl Sheet {
    /// Begins with the least function that there can be.
    pub(crate) fn beside(reference: &Cost) -> Self {
        println!("figure / budget / ceiling; ! is over the ceiling");
        line("", "ready", "first answer", "of hello's", "a warm call, k", "peak, MiB");
        let millions = |count: u64| format!("{:.2} M", count as f64 / 1e6);
        line(
            "hello",
            millions(reference.ready),
            millions(reference.first),
            1,
            reference.warm / 1000,
            format!("{:.1}", mib(reference.peak_kib)),
        );
        Self { reference: reference.first, kept: true }
    }

    pub(crate) fn line(&mut self, name: &str, cost: &Cost, limits: Limits) {
        let millions = |count: u64| format!("{:.2} M", count as f64 / 1e6);
        let times = cost.first as f64 / self.reference as f64;
        line(
            name,
            millions(cost.ready),
            millions(cost.first),
            self.beside_limit(times, limits.first, 1),
            self.beside_limit(cost.warm as f64 / 1e3, limits.warm, 0),
            self.beside_limit(mib(cost.peak_kib), PEAK, 1),
        );
    }

    pub(crate) fn sizes(&self) {
        println!("\n{:<20} {:>20}", "zip -9", "MB");
    }

    pub(crate) fn size(&mut self, function: &str, bytes: u64) {
        println!("{function:<20} {:>20}", self.beside_limit(bytes as f64 / 1e6, DEFLATED, 2));
    }

    fn beside_limit(&mut self, figure: f64, limit: Limit, digits: usize) -> String {
        let over = figure > limit.ceiling;
        self.kept &= !over;
        let mark = if over { "!" } else { "" };
        let budget = limit.budget.map_or("-".to_owned(), |budget| budget.to_string());
        format!("{figure:.digits$}{mark} / {budget} / {}", limit.ceiling)
    }

    /// Whether every figure keeps below its ceiling.
    pub(crate) fn kept(&self) -> bool {
        self.kept
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn line(
    name: &str,
    ready: impl Display,
    first: impl Display,
    times: impl Display,
    warm: impl Display,
    peak: impl Display,
) {
    println!("{name:<20} {ready:>8} {first:>13} {times:>15} {warm:>20} {peak:>15}");
}
