//! Steps of posts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::Step;
use super::super::model::{Comment, Effect, Expect, Model, Post};
use super::super::objects;
use super::{Draft, done, nothing, pick, refused, refused_showing, selection, stale};

impl Model {
    /// A draft for a post that there is, or was: `after` is what becomes of it.
    fn of_post(&self, name: &'static str, index: usize, step: Step, mut input: Value, after: Post) -> Draft {
        let before = &self.posts[index];
        input["id"] = json!(before.id);
        let mut expect = done("post", objects::post(&after));
        let mut effect = Effect::SetPost(index, after);
        match step.twist {
            4 if !before.deleted => {
                input["updatedAt"] = stale();
                let shown = refused_showing("updatedAt CONFLICT", "post", objects::post(before));
                (expect, effect) = (shown, Effect::Nothing);
            }
            5..=9 => input["updatedAt"] = before.updated_at.clone(),
            _ => {}
        }
        if step.twist == 3 {
            input["id"] = json!(nothing("Post", step));
        }
        if step.twist == 3 || before.deleted {
            (expect, effect) = (Expect::Error("NOT_FOUND"), Effect::Nothing);
        }
        Draft { name, input, selection: selection(name), wrong: Vec::new(), expect, effect }
    }

    /// The author of a new post or comment, and what speaks against them.
    fn author(&self, step: Step, by: u8) -> Option<(usize, Value, Option<&'static str>)> {
        let index = pick(&self.users, by)?;
        Some(match &self.users[index] {
            _ if step.twist == 3 => (index, json!(nothing("User", step)), Some("authorId NOT_FOUND")),
            user if !user.active => (index, json!(user.id), Some("authorId INACTIVE")),
            user => (index, json!(user.id), None),
        })
    }

    pub fn create_post(&self, step: Step) -> Option<Draft> {
        let (author, id, against) = self.author(step, step.of)?;
        let (title, body) = (format!("Title {}", step.value), format!("Body {}", step.with));
        let mut input = json!({ "authorId": id, "title": title, "body": format!("{body}\r\n") });
        let post = Post { author, title, body, status: "DRAFT", ..Post::default() };
        let (expect, effect) = match against {
            Some(wrong) => (refused(&[wrong]), Effect::Nothing),
            None => (done("post", objects::post(&post)), Effect::AddPost(post)),
        };
        let mut wrong = Vec::new();
        if step.twist == 1 {
            input["title"] = json!("a".repeat(201));
            input["body"] = json!("\0");
            wrong = vec!["title TOO_LONG".to_owned(), "body INVALID".to_owned()];
        }
        Some(Draft { name: "createPost", input, selection: selection("createPost"), wrong, expect, effect })
    }

    pub fn update_post(&self, step: Step) -> Option<Draft> {
        let index = pick(&self.posts, step.of)?;
        let mut post = self.posts[index].clone();
        let mut input = json!({});
        if step.with.is_multiple_of(2) {
            post.title = format!("Title {}", step.value);
            input["title"] = json!(post.title);
        }
        if step.with.is_multiple_of(3) {
            post.body = format!("Body {}", step.value);
            input["body"] = json!(post.body);
        }
        Some(self.of_post("updatePost", index, step, input, post))
    }

    pub fn move_post(&self, step: Step) -> Option<Draft> {
        let index = pick(&self.posts, step.of)?;
        let mut post = self.posts[index].clone();
        let name = if step.mutation == 4 { "publishPost" } else { "archivePost" };
        post.status = if step.mutation == 4 { "PUBLISHED" } else { "ARCHIVED" };
        post.was_published |= step.mutation == 4;
        Some(self.of_post(name, index, step, json!({}), post))
    }

    pub fn delete_post(&self, step: Step) -> Option<Draft> {
        let index = pick(&self.posts, step.of)?;
        let post = self.posts[index].clone();
        let comments = self.comments.iter().filter(|comment| comment.post == index && !comment.deleted).count();
        let mut draft = self.of_post("deletePost", index, step, json!({}), post.clone());
        match draft.effect {
            Effect::SetPost(..) => {
                let shown = json!({ "deletedPostId": post.id, "deletedCommentCount": comments, "userErrors": [] });
                (draft.expect, draft.effect) = (Expect::Payload(shown), Effect::DeletePost(index));
            }
            // The post is not among what is shown.
            _ if step.twist == 4 && !post.deleted => draft.expect = refused(&["updatedAt CONFLICT"]),
            _ => {}
        }
        Some(draft)
    }

    pub fn set_post_tags(&self, step: Step) -> Option<Draft> {
        let index = pick(&self.posts, step.of)?;
        let mut post = self.posts[index].clone();
        let all = (0..5).map(|tag| format!("case{}-tag{tag}", self.case)).enumerate();
        let tags: BTreeSet<_> = all.filter(|(tag, _)| step.value & (1 << tag) != 0).map(|(_, name)| name).collect();
        let mut given: Vec<_> = tags.iter().rev().cloned().collect();
        // One may be named twice.
        given.extend(tags.first().cloned());
        post.tags = tags;
        let mut draft = self.of_post("setPostTags", index, step, json!({ "tags": given }), post);
        if step.twist == 1 {
            draft.input["tags"] = json!(["good", "Not good"]);
            draft.wrong = vec!["tags.1 INVALID".to_owned()];
        }
        Some(draft)
    }

    pub fn add_comment(&self, step: Step) -> Option<Draft> {
        let post = pick(&self.posts, step.with)?;
        let (author, author_id, against) = self.author(step, step.of)?;
        let body = format!("Comment {}", step.value);
        let mut input = json!({ "postId": self.posts[post].id, "authorId": author_id, "body": body });
        let mut wrong = Vec::new();
        if step.twist == 1 {
            input["body"] = json!("");
            wrong = vec!["body BLANK".to_owned()];
        }
        let (expect, effect) = match (&self.posts[post], against) {
            (found, _) if found.deleted => (refused(&["postId NOT_FOUND"]), Effect::Nothing),
            (found, _) if found.status != "PUBLISHED" => (refused(&["postId INVALID_STATE"]), Effect::Nothing),
            (_, Some(wrong)) => (refused(&[wrong]), Effect::Nothing),
            _ => {
                let comment = Comment { post, author, body: body.clone(), ..Comment::default() };
                (done("comment", json!({ "body": body })), Effect::AddComment(comment))
            }
        };
        Some(Draft { name: "addComment", input, selection: selection("addComment"), wrong, expect, effect })
    }

    pub fn delete_comment(&self, step: Step) -> Option<Draft> {
        let index = pick(&self.comments, step.of)?;
        let comment = &self.comments[index];
        let input = json!({ "id": comment.id });
        let (expect, effect) = if comment.deleted {
            (Expect::Error("NOT_FOUND"), Effect::Nothing)
        } else {
            (done("deletedCommentId", json!(comment.id)), Effect::DeleteComment(index))
        };
        let selection = selection("deleteComment");
        Some(Draft { name: "deleteComment", input, selection, wrong: Vec::new(), expect, effect })
    }
}
