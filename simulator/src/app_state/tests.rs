use super::*;
use wacore::appstate::process_snapshot;

fn pin(chat: &str, on: bool) -> NewSetting {
    SettingIndex::Pin { chat: chat.to_owned(), on }.into()
}

/// What a companion with the key makes of the patches after a version.
fn follow(state: &AppState, base: &mut HashState, macs: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<String>, bool)> {
    let (patches, _) = state.patches_after("regular_low", base.version, usize::MAX).unwrap();
    let keys = Arc::new(state.keys());
    let mut seen = Vec::new();
    for patch in patches {
        let patch = SyncdPatch::decode_from_slice(&patch).unwrap();
        let known = macs.clone();
        let read = process_patch(
            &patch,
            base,
            |_| Ok(Arc::clone(&keys)),
            |index| Ok(known.iter().rev().find(|(one, _)| one == index).map(|(_, value)| value.clone())),
            true,
            "regular_low",
        )
        .unwrap();
        macs.extend(read.added_macs.into_iter().map(|mac| (mac.index_mac, mac.value_mac)));
        seen.extend(
            read.mutations
                .into_iter()
                .map(|one| (one.index, one.action_value.unwrap().pin_action.pinned == Some(true))),
        );
    }
    seen
}

#[test]
fn a_companion_can_follow_the_phones_patches_and_its_snapshot() {
    let mut state = AppState::new(1);
    for (chat, on) in [("a", true), ("b", true), ("a", false)] {
        state.write(&pin(chat, on), 1).unwrap();
    }
    let (mut base, mut macs) = (HashState::default(), Vec::new());
    let seen = follow(&state, &mut base, &mut macs);
    let names: Vec<(&str, bool)> = seen.iter().map(|(index, on)| (index[1].as_str(), *on)).collect();
    assert_eq!(names, [("a", true), ("b", true), ("a", false)]);
    assert_eq!(base.version, 3);

    let snapshot = SyncdSnapshot::decode_from_slice(&state.snapshot("regular_low").unwrap().unwrap()).unwrap();
    let keys = Arc::new(state.keys());
    let mut fresh = HashState::default();
    let read = process_snapshot(&snapshot, &mut fresh, |_| Ok(Arc::clone(&keys)), true, "regular_low").unwrap();
    assert_eq!(read.mutations.len(), 2);
    assert_eq!((fresh.version, fresh.hash), (base.version, base.hash));
}

#[test]
fn a_patch_on_an_old_version_is_a_conflict() {
    let mut mine = AppState::new(1);
    mine.write(&pin("a", true), 1).unwrap();
    let mut companion = mine.clone();
    companion.write(&pin("b", true), 2).unwrap();
    let patch = companion.patches_after("regular_low", 1, 1).unwrap().0.remove(0);
    assert_eq!(mine.accept("regular_low", 0, &patch, None).err(), Some(1));
    let accepted = mine.accept("regular_low", 1, &patch, None).ok().unwrap();
    assert_eq!((accepted.version, accepted.settings.unwrap().len()), (2, 1));
    assert_eq!(mine.accept("regular_low", 1, &patch, None).err(), Some(2));
    assert_eq!(mine.settings("regular_low").len(), 2);
}

#[test]
fn a_patch_that_nobody_can_read_is_stored_and_reported() {
    let mut state = AppState::new(1);
    let accepted = state.accept("regular", 0, b"\x22\x01x", None).ok().unwrap();
    assert!(accepted.version == 1 && accepted.settings.is_err());
    assert!(state.snapshot("regular").unwrap().is_none());
    assert_eq!(state.patches_after("regular", 0, 10).unwrap().0.len(), 1);
}

#[test]
fn who_is_too_far_behind_needs_the_snapshot() {
    let mut state = AppState::new(1);
    for n in 0..=MAX_PATCHES {
        state.write(&pin("a", n % 2 == 0), 1).unwrap();
    }
    assert!(state.patches_after("regular_low", 0, 10).is_none());
    assert!(state.patches_after("regular_low", 1, 10).unwrap().1);
    assert!(state.snapshot("regular_low").unwrap().is_some());
}
