//! Groups: their settings, and the ways in besides being added.

use serde_json::json;
use tempfile::tempdir;
use wacore::iq::{
    groups::{JoinGroupResult, MemberAddMode, MembershipApprovalMode},
    privacy::{PrivacyCategory, PrivacyValue},
};
use whatsapp_rust::{
    Jid,
    features::{GroupCreateOptions, GroupParticipantOptions},
    types::events::Event,
};

use crate::support::{Phone, Sim};

const ANNA: &str = "15550200001";

fn jid(number: &str) -> Jid {
    Jid::pn(number)
}

async fn told(phone: &Phone, what: &str) {
    let fits = |event: &Event| match event {
        Event::GroupUpdate(update) => (update.action.tag_name() == what).then_some(()),
        _ => None,
    };
    phone.until(fits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_of_a_group_is_kept_told_and_shown() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let phone = Phone::paired(&sim, folder.path(), None).await;
    let groups = phone.client.groups();
    let people = vec![GroupParticipantOptions::new(jid(ANNA))];
    let id = groups.create_group(GroupCreateOptions::new("Set").with_participants(people)).await.unwrap().metadata.id;
    groups.set_ephemeral(&id, 86_400).await.unwrap();
    groups.set_membership_approval(&id, MembershipApprovalMode::On).await.unwrap();
    groups.set_member_add_mode(&id, MemberAddMode::AllMemberAdd).await.unwrap();
    groups.set_no_frequently_forwarded(&id, true).await.unwrap();
    groups.set_allow_admin_reports(&id, true).await.unwrap();
    groups.set_group_history(&id, true).await.unwrap();
    for change in ["ephemeral", "membership_approval_mode", "member_add_mode"] {
        told(&phone, change).await;
    }
    let shown = &sim.get(&format!("/groups/{id}")).await["settings"];
    let all = json!({"ephemeral": 86_400, "approval": true, "noFrequentlyForwarded": true, "adminReports": true,
        "history": true, "memberLinks": false});
    assert_eq!(*shown, all);
    let metadata = groups.get_metadata(&id).await.unwrap();
    let ephemeral = metadata.ephemeral.and_then(|ephemeral| ephemeral.expiration);
    assert_eq!((ephemeral, metadata.membership_approval), (Some(86_400), true));
    phone.shutdown().await;
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_the_link_waits_for_approval_and_who_refuses_uses_the_invitation() {
    let (sim, folder) = (Sim::start().await, tempdir().unwrap());
    let host = Phone::paired(&sim, folder.path(), Some("Host")).await;
    let guest = Phone::paired(&sim, folder.path(), Some("Guest")).await;
    let groups = host.client.groups();
    let id = groups.create_group(GroupCreateOptions::new("Closed")).await.unwrap().metadata.id;
    groups.set_membership_approval(&id, MembershipApprovalMode::On).await.unwrap();
    let link = groups.get_invite_link(&id, false).await.unwrap();
    for approves in [false, true] {
        let joined = guest.client.groups().join_with_invite_code(&link).await.unwrap();
        assert!(matches!(joined, JoinGroupResult::PendingApproval(_)));
        told(&host, "created_membership_requests").await;
        let requests = groups.get_membership_requests(&id).await.unwrap();
        assert_eq!(requests.len(), 1);
        let answers = if approves {
            groups.approve_membership_requests(&id, std::slice::from_ref(&requests[0].jid)).await.unwrap()
        } else {
            groups.reject_membership_requests(&id, std::slice::from_ref(&requests[0].jid)).await.unwrap()
        };
        assert_eq!(answers.iter().filter(|answer| answer.error.is_some()).count(), 0);
        assert!(groups.get_membership_requests(&id).await.unwrap().is_empty());
    }
    told(&guest, "create").await;
    let number = guest.client.pn().unwrap().to_non_ad();
    groups.remove_participants(&id, std::slice::from_ref(&number)).await.unwrap();

    // A guest that nobody may add gets an invitation instead, and it works once.
    guest.client.set_privacy_setting(PrivacyCategory::GroupAdd, PrivacyValue::None).await.unwrap();
    let answers = groups.add_participants(&id, &[number]).await.unwrap();
    let invitation = answers[0].add_request.as_ref().unwrap();
    let (code, until) = (invitation.code.clone(), invitation.expiration);
    let admin = host.client.lid().unwrap().to_non_ad();
    guest.client.groups().join_with_invite_v4(&id, &code, i64::try_from(until).unwrap(), &admin).await.unwrap();
    assert_eq!(groups.get_metadata(&id).await.unwrap().participants.len(), 2);
    host.shutdown().await;
    guest.shutdown().await;
    sim.stop().await;
}
