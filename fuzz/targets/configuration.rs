//! A service's configuration file: what is read is written back as it was, and an edit is there afterwards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_model::step::ConfigEdit;
use ostler_world::oslo_ini::Ini;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut ini = Ini::read(&text);
    assert_eq!(ini.text(), text, "nothing was changed");
    let place = |option: &str| ("DEFAULT".to_owned(), option.to_owned());
    let ((section, option), (to_section, to_option)) = (place("transport_url"), place("rpc_url"));
    ini.apply(&ConfigEdit::Rename { section: section.clone(), option, to_section, to_option });
    assert!(ini.values("DEFAULT", "transport_url").is_empty(), "it was renamed");
    ini.apply(&ConfigEdit::Remove { section: section.clone(), option: "rpc_url".to_owned() });
    assert!(ini.values("DEFAULT", "rpc_url").is_empty(), "it was removed");
    let option = "debug".to_owned();
    ini.apply(&ConfigEdit::Append { section: section.clone(), option: option.clone(), item: "a".to_owned() });
    ini.apply(&ConfigEdit::Set { section, option, value: "true".to_owned() });
    let again = Ini::read(&ini.text());
    assert_eq!(again.values("DEFAULT", "debug"), ["true"], "it was set");
});
