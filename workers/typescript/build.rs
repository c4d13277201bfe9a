//! Link arguments of a Node addon: macOS and Windows need some.

fn main() {
    napi_build::setup();
}
