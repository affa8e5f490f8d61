//! The figures, each beside its budget.

use crate::measure::Subject;

/// How many times as many instructions as [`Sheet::beside`]'s function one may take to its first answer. It is a ratio
/// within one run because another compiler or valgrind moves both.
const FIRST_LIMIT: f64 = 7.0;
/// Peak memory of a function that is idle after one call.
const PEAK_LIMIT_MIB: f64 = 12.0;
/// A function as Lambda stores it.
const DEFLATED_LIMIT_MB: f64 = 2.6;

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

pub(crate) struct Sheet {
    reference: u64,
    kept: bool,
}

impl Sheet {
    /// Begins with the least function that there can be.
    pub(crate) fn beside(reference: &Cost) -> Self {
        println!(
            "{:<18} {:>9} {:>12} {:>15} {:>22} {:>15}",
            "instructions", "ready", "first answer", "of hello's", "a warm call", "peak MiB"
        );
        let mut sheet = Self { reference: reference.first, kept: true };
        sheet.print("hello", reference, None);
        sheet
    }

    pub(crate) fn line(&mut self, subject: &Subject, cost: &Cost, warm_limit: Option<u64>) {
        self.print(subject.name, cost, warm_limit);
    }

    fn print(&mut self, name: &str, cost: &Cost, warm_limit: Option<u64>) {
        let times = cost.first as f64 / self.reference as f64;
        let peak = cost.peak_kib as f64 / 1024.0;
        let warm = warm_limit.map_or_else(
            || format!("{} k", cost.warm / 1000),
            |limit| self.beside_limit(cost.warm as f64 / 1e3, limit as f64 / 1e3, 0, " k"),
        );
        let times = self.beside_limit(times, FIRST_LIMIT, 1, "×");
        let peak = self.beside_limit(peak, PEAK_LIMIT_MIB, 1, "");
        println!(
            "{name:<18} {:>7.2} M {:>10.2} M {times:>15} {warm:>22} {peak:>15}",
            cost.ready as f64 / 1e6,
            cost.first as f64 / 1e6,
        );
    }

    pub(crate) fn sizes(&self) {
        println!("\n{:<18} {:>15}", "zip -9", "MB");
    }

    pub(crate) fn size(&mut self, function: &str, bytes: u64) {
        let size = self.beside_limit(bytes as f64 / 1e6, DEFLATED_LIMIT_MB, 2, "");
        println!("{function:<18} {size:>15}");
    }

    /// A figure, its budget, and a mark where it is over it.
    fn beside_limit(&mut self, figure: f64, limit: f64, digits: usize, unit: &str) -> String {
        let over = figure > limit;
        self.kept &= !over;
        let mark = if over { "> " } else { "≤ " };
        format!("{figure:.digits$}{unit} {mark}{limit}{unit}")
    }

    /// Whether every figure keeps to its budget.
    pub(crate) fn kept(&self) -> bool {
        self.kept
    }
}
