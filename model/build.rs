//! Compiles the functions of libtorch's C++ interface that its Rust bindings leave out, for the feature `tch`.

fn main() {
    println!("cargo::rerun-if-changed=src/backend/libtorch/aten.cpp");
    #[cfg(feature = "tch")]
    compile();
}

#[cfg(feature = "tch")]
fn compile() {
    use std::path::PathBuf;

    // torch-sys tells those who depend on it where its libtorch lies.
    let libraries = std::env::var_os("DEP_TCH_LIBTORCH_LIB").expect("torch-sys has found libtorch");
    let include = PathBuf::from(libraries).join("../include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(&include)
        .file("src/backend/libtorch/aten.cpp")
        .compile("kiln_aten");
}
