#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| shoal_fuzz::token(data));
