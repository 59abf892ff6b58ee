//! The command line: arguments → typed configuration → run → exit code.

mod cli;

/// Keeps freed memory instead of giving it back to the system, page by page, and aligns large blocks to cache lines.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
