//! Rebuilds the crate when a file of the console is added or removed, which the compiler does not notice.

fn main() {
    println!("cargo::rerun-if-changed=console");
}
