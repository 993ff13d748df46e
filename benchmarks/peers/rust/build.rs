//! Passes versions to the program: the compiler's, and those of the crates in Cargo.lock.

use std::{env, error::Error, fs, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=Cargo.lock");
    let compiler = Command::new(env::var("RUSTC")?).arg("--version").output()?.stdout;
    let compiler = String::from_utf8(compiler)?;
    let version = compiler.split(' ').nth(1).ok_or("the compiler reports no version")?;
    println!("cargo::rustc-env=VERSION_RUSTC={version}");
    let lock = fs::read_to_string("Cargo.lock")?;
    for name in ["kube", "k8s-openapi", "tikv-jemallocator"] {
        let variable = name.replace('-', "_").to_uppercase();
        let version = locked(&lock, name).ok_or_else(|| format!("{name} is not in Cargo.lock"))?;
        println!("cargo::rustc-env=VERSION_{variable}={version}");
    }
    Ok(())
}

fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}
