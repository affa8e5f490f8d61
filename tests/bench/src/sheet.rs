//! The printed table of figures, each with its budget and its ceiling.

use std::fmt::Display;

/// Instructions and memory of a function.
#[derive(Debug)]
pub(crate) struct Cost {
    /// Instructions from the start until the function requests its first event.
    pub(crate) ready: u64,
    /// Instructions from the start until the function has handled one event and requests the second.
    pub(crate) first: u64,
    pub(crate) warm: u64,
    pub(crate) peak_kib: u64,
}

/// The optional target of a figure and its upper bound. The bound is slightly above the current value, so that a
/// regression is noticed.
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

/// The limits of one function.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Instructions until the first response, as a multiple of the minimal function's. A ratio is independent of the
    /// versions of the compiler and of valgrind.
    pub(crate) first: Limit,
    /// Instructions of a warm call, in thousands.
    pub(crate) warm: Limit,
}

/// Peak memory of a function after one call, in MiB.
const PEAK_MEMORY_LIMIT: Limit = Limit::budget(24.0, 20.8);
/// Compressed size of a function, in MB.
const DEFLATED_SIZE_LIMIT: Limit = Limit::budget(2.6, 4.0);

pub(crate) struct Sheet {
    reference: u64,
    within_ceilings: bool,
}

impl Sheet {
    /// Prints the head of the table and the line of the minimal function.
    pub(crate) fn start(reference: &Cost) -> Self {
        println!("figure / budget / ceiling (! marks a figure over its ceiling)");
        line("", "ready", "first response", "of hello's", "a warm call, k", "peak, MiB");
        let millions = |count: u64| format!("{:.2} M", count as f64 / 1e6);
        line(
            "hello",
            millions(reference.ready),
            millions(reference.first),
            1,
            reference.warm / 1000,
            format!("{:.1}", mib(reference.peak_kib)),
        );
        Self { reference: reference.first, within_ceilings: true }
    }

    pub(crate) fn write_line(&mut self, name: &str, cost: &Cost, limits: Limits) {
        let millions = |count: u64| format!("{:.2} M", count as f64 / 1e6);
        let times = cost.first as f64 / self.reference as f64;
        line(
            name,
            millions(cost.ready),
            millions(cost.first),
            self.format_figure(times, limits.first, 1),
            self.format_figure(cost.warm as f64 / 1e3, limits.warm, 0),
            self.format_figure(mib(cost.peak_kib), PEAK_MEMORY_LIMIT, 1),
        );
    }

    pub(crate) fn write_size_header(&self) {
        println!("\n{:<20} {:>20}", "zip -9", "MB");
    }

    pub(crate) fn write_size(&mut self, function: &str, bytes: u64) {
        println!(
            "{function:<20} {:>20}",
            self.format_figure(bytes as f64 / 1e6, DEFLATED_SIZE_LIMIT, 2)
        );
    }

    fn format_figure(&mut self, figure: f64, limit: Limit, digits: usize) -> String {
        let over = figure > limit.ceiling;
        self.within_ceilings &= !over;
        let mark = if over { "!" } else { "" };
        let budget = limit.budget.map_or("-".to_owned(), |budget| budget.to_string());
        format!("{figure:.digits$}{mark} / {budget} / {}", limit.ceiling)
    }

    /// Returns whether every figure is within its ceiling.
    pub(crate) fn is_within_ceilings(&self) -> bool {
        self.within_ceilings
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
