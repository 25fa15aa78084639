//! The study itself.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use kiln_model::{Backend, GptModel, NoTap, Site};
use serde::Serialize;

use super::arm::{Arm, Ingredients, Place};
use super::feature::try_features;
use super::figures::{Counted, Figures};
use super::{Observed, Word, WordFeature};
use crate::error::Result;
use crate::request::{GenerateOptions, Request, WhenFull};
use crate::sampling::Sampling;
use crate::steer::{SteeringKit, SteeringTap};
use crate::text_model::TextModel;
use crate::tokens::upload;

/// Stories that are written side by side.
const SIDE_BY_SIDE: usize = 64;

/// What a study is made with.
#[derive(Clone, Debug)]
pub struct StudyOptions {
    /// Stories of each arm at each strength.
    pub stories: usize,
    /// Strengths, in mean norms of the residual stream.
    pub strengths: Vec<f32>,
    /// Most tokens of a story.
    pub max_tokens: usize,
    /// What stories start from.
    pub seed: u64,
    /// Stories that the model is watched over, and of which the nats are counted.
    pub watched: usize,
    /// A beginning that asks for the word.
    pub prompt: String,
    /// Share of the stories that have the word by their own nature, where it is known.
    pub base: Option<f64>,
}

/// A study of one word.
pub struct SteeringStudy<'a, B: Backend> {
    model: &'a TextModel<B>,
    kit: &'a SteeringKit,
    /// Where the features are.
    site: Site,
    word: Word,
    options: StudyOptions,
    /// Whether a story is sound, where that can be told.
    judge: &'a dyn Fn(&str) -> Option<bool>,
}

/// What a study found.
#[derive(Clone, Debug, Serialize)]
pub struct StudyResult {
    /// The word.
    pub word: String,
    /// The features that were tried, the one that was taken first.
    pub tried: Vec<WordFeature>,
    /// Mean norm of the stream where it is steered.
    pub mean_norm: f64,
    /// The model as it is.
    pub unsteered: Figures,
    /// Every arm at every strength.
    pub arms: Vec<Figures>,
    /// A story without steering, and what became of it.
    pub example: Option<[String; 2]>,
}

impl<'a, B: Backend> SteeringStudy<'a, B> {
    /// A study of `word` with the features of `kit`, which are at `site`.
    ///
    /// # Errors
    ///
    /// If the word cannot be encoded.
    pub fn new(
        model: &'a TextModel<B>,
        kit: &'a SteeringKit,
        site: Site,
        word: &str,
        options: StudyOptions,
        judge: &'a dyn Fn(&str) -> Option<bool>,
    ) -> Result<Self> {
        let word = Word::new(word, model.tokenizer())?;
        Ok(Self { model, kit, site, word, options, judge })
    }

    /// Tries the features `candidates`, takes the best, and measures every arm. `densities` says how often each feature of all is
    /// active. `progress` hears which part is done, and how much of it.
    ///
    /// # Errors
    ///
    /// If a candidate is not there, or the model computes no numbers.
    pub fn run(
        &self,
        candidates: &[usize],
        densities: &[f64],
        progress: &mut dyn FnMut(&str, usize, usize),
    ) -> Result<StudyResult> {
        let gpt = self.model.model();
        let observed = self.observe(progress)?;
        let mut done = 0;
        let tried = try_features(gpt, self.kit, candidates, &self.word, &observed, &mut || {
            done += 1;
            progress("trying features", done, candidates.len());
        })?;
        let feature = tried.first().map_or(0, |best| best.feature);
        let prompt = self.model.tokenizer().encode(&self.options.prompt)?;
        let ingredients =
            Ingredients { feature, densities, observed: &observed, prompt: &prompt, seed: self.options.seed };
        let mut arms = Arm::all(gpt, &self.word, &ingredients);
        arms.extend(Arm::prompted(&ingredients));
        let mean_norm = observed.mean_norm();
        let place = Place { kit: self.kit, config: gpt.config(), site: self.site, mean_norm };

        let plain: Vec<Request> =
            (0..self.options.stories).map(|index| self.plain(index, 2)).collect::<Result<_>>()?;
        let (unsteered, before) =
            self.figures("none", 0.0, &plain, false, &mut |done| progress("unsteered", done, plain.len()))?;
        let (mut measured, mut example): (Vec<Figures>, _) = (Vec::new(), None);
        for arm in &arms {
            let strengths = if arm.has_own_prompt() { &[0.0][..] } else { &self.options.strengths };
            for strength in strengths {
                let requests = plain.iter().enumerate();
                let requests: Vec<Request> = requests
                    .map(|(index, plain)| arm.request(plain, index, *strength, &place))
                    .collect::<Result<_>>()?;
                let label = format!("{} {strength}", arm.name);
                let (figures, after) =
                    self.figures(arm.name, *strength, &requests, arm.has_own_prompt(), &mut |done| {
                        progress(&label, done, plain.len());
                    })?;
                measured.push(figures);
                example = example.or_else(|| self.example(&before, &after));
            }
        }
        let word = self.word.text().to_owned();
        Ok(StudyResult { word, tried, mean_norm, unsteered, arms: measured, example })
    }

    /// Watches the model write.
    fn observe(&self, progress: &mut dyn FnMut(&str, usize, usize)) -> Result<Observed> {
        let requests: Vec<Request> =
            (0..self.options.watched).map(|index| self.plain(index, 1)).collect::<Result<_>>()?;
        let texts = self.write(&requests, &mut |done| progress("watching", done, requests.len()))?;
        let whole =
            |(request, (_, tokens)): (&Request, (String, Vec<u32>))| [&request.prompt[..], &tokens].concat();
        let texts: Vec<Vec<u32>> = requests.iter().zip(texts).map(whole).collect();
        let (mut read, total) = (0, texts.len());
        Observed::of(self.model.model(), texts, &self.word, self.site, &mut || {
            read += 1;
            progress("reading", read, total);
        })
    }

    /// A story that has the word, is sound, and had it not before: without steering, and with it.
    fn example(&self, before: &[String], after: &[String]) -> Option<[String; 2]> {
        let turned = |(before, after): &(&String, &String)| {
            !self.word.is_in(before) && self.word.is_in(after) && (self.judge)(after) != Some(false)
        };
        let (before, after) = before.iter().zip(after).find(turned)?;
        Some([before.clone(), after.clone()])
    }

    /// The request of a story of the model as it is. Stories of different streams share no random numbers.
    fn plain(&self, index: usize, stream: u64) -> Result<Request> {
        let seed = kiln_datasets::mix(kiln_datasets::mix(self.options.seed, stream), index as u64);
        let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
        let options = GenerateOptions {
            max_tokens: self.options.max_tokens,
            when_full: WhenFull::End,
            sampling,
            seed,
            ..GenerateOptions::default()
        };
        let prompt = self.model.encode_prompt("")?;
        Ok(self.model.request(Request { prompt, options }))
    }

    /// Texts and tokens of these requests.
    fn write(
        &self,
        requests: &[Request],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<(String, Vec<u32>)>> {
        let mut written = Vec::with_capacity(requests.len());
        for part in requests.chunks(SIDE_BY_SIDE) {
            let texts = self.model.generate_batch(part, &[])?;
            written.extend(texts.into_iter().map(|(text, completion)| (text, completion.tokens)));
            progress(written.len());
        }
        Ok(written)
    }

    /// Figures of these requests, and their stories. Where the prompt is one of their own, it is a part of the story.
    fn figures(
        &self,
        arm: &'static str,
        strength: f32,
        requests: &[Request],
        has_own_prompt: bool,
        progress: &mut dyn FnMut(usize),
    ) -> Result<(Figures, Vec<String>)> {
        let written = self.write(requests, progress)?;
        let mut kl = None;
        if !has_own_prompt {
            let mut sum = 0.0;
            let count = self.options.watched.min(written.len());
            for (request, (_, tokens)) in requests.iter().zip(&written).take(count) {
                sum += self.kl(request, tokens);
            }
            kl = Some(sum / count.max(1) as f64);
        }
        let stories = written.into_iter().map(|(text, _)| {
            let story = if has_own_prompt { self.options.prompt.clone() + &text } else { text.clone() };
            // What the prompt says does not count.
            Counted { has_word: self.word.is_in(&text), is_sound: (self.judge)(&story), text: story }
        });
        let stories: Vec<Counted> = stories.collect();
        let base = self.options.base.filter(|_| !has_own_prompt);
        let figures = Figures::of(arm, strength, &stories, kl, base);
        Ok((figures, stories.into_iter().map(|story| story.text).collect()))
    }

    /// `Σ KL(steered ‖ unsteered)` over the tokens of a story.
    fn kl(&self, request: &Request, tokens: &[u32]) -> f64 {
        let gpt: &GptModel<B> = self.model.model();
        let context_length = gpt.config().context_length;
        let mut text = [&request.prompt[..], tokens].concat();
        text.truncate(context_length);
        let first = request.prompt.len() - 1;
        let vocab = request.options.vocab_size.unwrap_or(gpt.config().vocab_size);
        let mut tap = SteeringTap::new(&request.options.steering, &gpt.device());
        let mut steered = gpt.forward_tapped(upload(gpt, &text), None, &mut tap).narrow(2, 0, vocab);
        let plain = gpt.forward_tapped(upload(gpt, &text), None, &mut NoTap).narrow(2, 0, vocab);
        for (token, bias) in &request.options.sampling.logit_bias {
            let column = steered.clone().narrow(2, *token as usize, 1) + *bias;
            let [batch, seq, _] = steered.dims();
            steered = steered.slice_assign([0..batch, 0..seq, *token as usize..*token as usize + 1], column);
        }
        let (steered, plain) = (log_softmax(steered, 2), log_softmax(plain, 2));
        let terms: Tensor<B, 3> = steered.clone().exp() * (steered - plain);
        let rows = text.len() - first;
        let sum = terms.narrow(1, first, rows).sum();
        sum.into_data().iter::<f64>().next().unwrap_or_default()
    }
}
