fn main() -> std::process::ExitCode {
    indicia::app::cli::main()
}
