//! How this system links a library that Ruby loads: on macOS, for one, the interpreter's symbols are
//! looked up at load time.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ruby = rb_sys_env::activate()?;
    let (major, minor) = ruby.ruby_major_minor();
    // Checked at load time: another Ruby's objects lie otherwise in memory.
    println!("cargo:rustc-env=BUILT_FOR_RUBY={major}.{minor}");
    Ok(())
}
