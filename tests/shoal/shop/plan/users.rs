//! Steps of users.

use serde_json::json;

use super::super::Step;
use super::super::model::{Effect, Expect, Model, User};
use super::super::objects;
use super::{Draft, done, nothing, pick, refused, refused_showing, selection, stale};

const ROLES: [&str; 4] = ["CUSTOMER", "AUTHOR", "MODERATOR", "ADMIN"];

impl Model {
    /// One of few addresses, in one of two cases.
    fn email(&self, step: Step) -> String {
        let name = if step.with.is_multiple_of(2) { "user" } else { "USER" };
        format!("{name}{}@case{}.example", step.value % 6, self.case)
    }

    fn is_taken(&self, email: &str, but: Option<usize>) -> bool {
        let mut others = self.users.iter().enumerate().filter(|(index, _)| Some(*index) != but);
        others.any(|(_, user)| user.email.eq_ignore_ascii_case(email))
    }

    pub fn create_user(&self, step: Step) -> Draft {
        let (mut email, mut name, mut wrong) = (self.email(step), format!("Name {}", step.of), Vec::new());
        if [0, 2].contains(&step.twist) {
            email = "nobody".to_owned();
            wrong.push("email INVALID".to_owned());
        }
        if [1, 2].contains(&step.twist) {
            name = " \u{3000}".to_owned();
            wrong.push("name BLANK".to_owned());
        }
        let role = ROLES[usize::from(step.of % 4)];
        let user =
            User { email: email.clone(), name: name.clone(), role: role.into(), active: true, ..User::default() };
        let (expect, effect) = if self.is_taken(&email, None) {
            (refused(&["email TAKEN"]), Effect::Nothing)
        } else {
            (done("user", objects::user(&user)), Effect::AddUser(user))
        };
        let input = json!({ "email": format!(" {email}"), "name": name, "role": role });
        Draft { name: "createUser", input, selection: selection("createUser"), wrong, expect, effect }
    }

    pub fn update_user(&self, step: Step) -> Option<Draft> {
        let index = pick(&self.users, step.of)?;
        let before = &self.users[index];
        let mut user = before.clone();
        let mut input = json!({ "id": user.id });
        if step.with.is_multiple_of(3) {
            user.email = self.email(step);
            input["email"] = json!(user.email);
        }
        if step.with.is_multiple_of(2) {
            user.name = format!("Name {}", step.value);
            input["name"] = json!(user.name);
        }
        if step.with.is_multiple_of(7) {
            user.active = !user.active;
            input["active"] = json!(user.active);
        }
        let mut wrong = Vec::new();
        let mut expect = done("user", objects::user(&user));
        let mut effect = Effect::SetUser(index, user.clone());
        if self.is_taken(&user.email, Some(index)) {
            (expect, effect) = (refused(&["email TAKEN"]), Effect::Nothing);
        }
        match step.twist {
            1 => {
                input["name"] = json!("\n");
                wrong.push("name BLANK".to_owned());
            }
            3 => {
                input["id"] = json!(nothing("User", step));
                (expect, effect) = (Expect::Error("NOT_FOUND"), Effect::Nothing);
            }
            4 => {
                input["updatedAt"] = stale();
                let shown = refused_showing("updatedAt CONFLICT", "user", objects::user(before));
                (expect, effect) = (shown, Effect::Nothing);
            }
            5..=9 => input["updatedAt"] = before.updated_at.clone(),
            _ => {}
        }
        Some(Draft { name: "updateUser", input, selection: selection("updateUser"), wrong, expect, effect })
    }
}
