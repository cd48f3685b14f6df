//! Link settings of the addon.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The I/O threads never end, so the code they run must stay mapped when Node unloads the
    // addon after its last environment. Linux unmaps with `dlclose`; on macOS and Windows Node's
    // own handling keeps a library with live thread-local destructors.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
