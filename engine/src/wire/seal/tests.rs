use proptest::prelude::*;

use super::*;
use crate::wire::keys::ClientKey;

fn key() -> ClientKey {
    ClientKey::generate().unwrap()
}

/// The text with its n-th character changed into another that does not mean the same.
fn altered(text: &str, index: usize, by: char) -> Option<String> {
    let was = char::from(*text.as_bytes().get(index)?);
    (!was.eq_ignore_ascii_case(&by)).then(|| format!("{}{by}{}", &text[..index], &text[index + 1..]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_sealed_opens(plain in prop::collection::vec(any::<u8>(), 0..3_000)) {
        let key = key();
        let sealed = seal(key.client_id(), &plain).unwrap();
        prop_assert_eq!(sealed.len(), sealed_bytes(plain.len()));
        prop_assert_eq!(key.open(&sealed), Ok(plain.clone()));
        prop_assert_eq!(key.open(&sealed.to_uppercase()), Ok(plain));
    }

    #[test]
    fn arbitrary_text_does_not_open(text in "[0-9a-f:]{0,400}|\\PC{0,200}") {
        prop_assert!(key().open(&text).is_err());
    }
}

#[test]
fn no_character_of_a_sealed_text_can_be_changed() {
    let key = key();
    let sealed = seal(key.client_id(), b"one result").unwrap();
    for index in 0..sealed.len() {
        for by in ['0', '1', '7', 'e', ':', 'g', ' ', '\0'] {
            if let Some(text) = altered(&sealed, index, by) {
                assert!(key.open(&text).is_err(), "character {index} as {by:?}");
            }
        }
        assert!(key.open(&sealed[..index]).is_err(), "cut at {index}");
        assert!(key.open(&sealed[index + 1..]).is_err(), "from {}", index + 1);
    }
}

#[test]
fn sealing_twice_gives_two_texts() {
    let client = key().client_id().clone();
    assert_ne!(seal(&client, b"x"), seal(&client, b"x"));
}

#[test]
fn each_fault_is_told_apart() {
    let (key, stranger) = (key(), key());
    let sealed = seal(key.client_id(), b"one result").unwrap();
    let parts: Vec<&str> = sealed.split(':').collect();
    let with = |index: usize, part: &str| {
        let mut parts = parts.clone();
        parts[index] = part;
        key.open(&parts.join(":")).unwrap_err()
    };
    let off_curve = format!("04{}", "11".repeat(64));

    assert_eq!(stranger.open(&sealed), Err(OpenError::Key));
    assert_eq!(key.open(""), Err(OpenError::Parts(1)));
    assert_eq!(key.open(&parts[..3].join(":")), Err(OpenError::Parts(3)));
    assert_eq!(key.open(&format!("{sealed}:")), Err(OpenError::Parts(5)));
    assert_eq!(
        key.open(&format!("{sealed}\n")),
        Err(OpenError::Hex("ciphertext"))
    );
    assert_eq!(with(0, &off_curve), OpenError::Point);
    assert_eq!(with(0, &parts[0][1..]), OpenError::Hex("ephemeral public key"));
    assert_eq!(
        with(1, "00"),
        OpenError::Length {
            part: "iv",
            expected: 12,
            actual: 1
        }
    );
    assert_eq!(
        with(2, ""),
        OpenError::Length {
            part: "tag",
            expected: 16,
            actual: 0
        }
    );
    assert_eq!(with(2, &"zz".repeat(16)), OpenError::Hex("tag"));
    assert_eq!(with(3, ""), OpenError::Key);
    assert_eq!(
        key.open(&":".repeat(SEALED_BYTES_MAX + 1)),
        Err(OpenError::TooLarge(SEALED_BYTES_MAX + 1))
    );
}

#[test]
fn a_client_id_off_the_curve_is_no_recipient() {
    let client = ClientId::parse(&format!("client-04{}", "11".repeat(64))).unwrap();
    assert_eq!(seal(&client, b"x"), Err(SealError::Client));
}

#[test]
fn a_result_beyond_the_limit_is_not_sealed() {
    let plain = vec![7; PLAIN_BYTES_MAX + 1];
    assert_eq!(
        seal(key().client_id(), &plain),
        Err(SealError::TooLarge(plain.len()))
    );
}
