//! The places of a forward pass at which a tap sees a value, and their names.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::{FeedForwardKind, GptConfig, Positions};

/// A place in the forward pass. Blocks are counted from zero; [`Display`](fmt::Display) writes the name that
/// TransformerLens gives the place, `blocks.0.attn.hook_pattern`.
///
/// Those marked "everything" are only shown to a tap that [watches](crate::Tap::watches) everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Site {
    /// Token embeddings, behind their norm where there is one, `[batch, seq, d_model]`.
    Embed,
    /// Position embeddings, `[batch, seq, d_model]`, or with one sequence for all of the batch.
    PosEmbed,
    /// The residual stream that enters a block, `[batch, seq, d_model]`.
    ResidPre(usize),
    /// Everything: queries, `[batch, n_heads, seq, head_dim]`.
    Query(usize),
    /// Everything: keys of the new positions, `[batch, n_kv_heads, seq, head_dim]`.
    Key(usize),
    /// Everything: values of the new positions, `[batch, n_kv_heads, seq, head_dim]`.
    Value(usize),
    /// Everything: scores, scaled and masked, `[batch, n_heads, query, key]`.
    AttnScores(usize),
    /// Everything: attention weights, `[batch, n_heads, query, key]`; each row sums to 1.
    Pattern(usize),
    /// Everything: the values as each head mixed them, `[batch, n_heads, seq, head_dim]`.
    Mixed(usize),
    /// What attention adds to the stream, `[batch, seq, d_model]`.
    AttnOut(usize),
    /// The residual stream between attention and feed-forward network, `[batch, seq, d_model]`.
    ResidMid(usize),
    /// Everything: the hidden layer before its activation, `[batch, seq, d_ff]`.
    MlpPre(usize),
    /// Everything: the features that a gate lets pass, before it does, `[batch, seq, d_ff]`; where there is a gate,
    /// [`MlpPre`](Self::MlpPre) is the gate before its activation.
    MlpPreLinear(usize),
    /// Everything: the hidden layer after its activation and its gate, `[batch, seq, d_ff]`.
    MlpPost(usize),
    /// What the feed-forward network adds to the stream, `[batch, seq, d_model]`.
    MlpOut(usize),
    /// The residual stream that leaves a block, `[batch, seq, d_model]`.
    ResidPost(usize),
    /// Everything: the standard deviation that a norm divides by, `[batch, seq, 1]`.
    NormScale(NormSite),
    /// Everything: what a norm makes of its input before its own scale and offset, `[batch, seq, d_model]`.
    Normalized(NormSite),
}

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormSite {
    /// That of each token's vector, where there is one.
    Embed,
    /// The one before attention.
    Ln1(usize),
    /// The one before the feed-forward network.
    Ln2(usize),
    /// That of each head's queries, where there is one: over `head_dim` features, `[batch, n_heads, seq, head_dim]`.
    Query(usize),
    /// That of each head's keys, where there is one: over `head_dim` features, `[batch, n_kv_heads, seq, head_dim]`.
    Key(usize),
    /// The one before the head.
    Final,
}

impl Site {
    /// The place of this name, in a model of this configuration: [`FromStr`] with a check that the model has it.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSite`] if there is no such place.
    pub fn of(name: &str, config: &GptConfig) -> Result<Self> {
        let sites = Self::all(config);
        let site = name.parse().ok().filter(|site| sites.contains(site));
        site.ok_or_else(|| Error::UnknownSite {
            name: name.to_owned(),
            sites: sites.iter().map(Self::to_string).collect(),
        })
    }

    /// Every place of a model of this configuration, in the order in which the forward pass comes by.
    pub fn all(config: &GptConfig) -> Vec<Self> {
        let norm = |site| [Self::NormScale(site), Self::Normalized(site)];
        let mut sites = Vec::new();
        if config.embedding_norm {
            sites.extend(norm(NormSite::Embed));
        }
        sites.push(Self::Embed);
        if config.positions == Positions::Learned {
            sites.push(Self::PosEmbed);
        }
        for layer in 0..config.n_layers {
            sites.push(Self::ResidPre(layer));
            sites.extend(norm(NormSite::Ln1(layer)));
            sites.extend([Self::Query(layer), Self::Key(layer), Self::Value(layer)]);
            if config.qk_norm {
                sites.extend(norm(NormSite::Query(layer)));
                sites.extend(norm(NormSite::Key(layer)));
            }
            sites.extend([Self::AttnScores(layer), Self::Pattern(layer), Self::Mixed(layer)]);
            sites.extend([Self::AttnOut(layer), Self::ResidMid(layer)]);
            sites.extend(norm(NormSite::Ln2(layer)));
            sites.push(Self::MlpPre(layer));
            if config.feed_forward == FeedForwardKind::Gated {
                sites.push(Self::MlpPreLinear(layer));
            }
            sites.extend([Self::MlpPost(layer), Self::MlpOut(layer), Self::ResidPost(layer)]);
        }
        sites.extend(norm(NormSite::Final));
        sites
    }

    /// The block that it belongs to.
    pub fn layer(self) -> Option<usize> {
        match self {
            Self::Embed | Self::PosEmbed => None,
            Self::NormScale(norm) | Self::Normalized(norm) => norm.layer(),
            Self::ResidPre(layer)
            | Self::Query(layer)
            | Self::Key(layer)
            | Self::Value(layer)
            | Self::AttnScores(layer)
            | Self::Pattern(layer)
            | Self::Mixed(layer)
            | Self::AttnOut(layer)
            | Self::ResidMid(layer)
            | Self::MlpPre(layer)
            | Self::MlpPreLinear(layer)
            | Self::MlpPost(layer)
            | Self::MlpOut(layer)
            | Self::ResidPost(layer) => Some(layer),
        }
    }

    /// Whether a tap sees it that watches the [stream](crate::Watch::Stream).
    pub fn is_on_stream(self) -> bool {
        matches!(
            self,
            Self::Embed
                | Self::PosEmbed
                | Self::ResidPre(_)
                | Self::AttnOut(_)
                | Self::ResidMid(_)
                | Self::MlpOut(_)
                | Self::ResidPost(_)
        )
    }
}

impl NormSite {
    /// The block that it belongs to.
    fn layer(self) -> Option<usize> {
        match self {
            Self::Embed | Self::Final => None,
            Self::Ln1(layer) | Self::Ln2(layer) | Self::Query(layer) | Self::Key(layer) => Some(layer),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embed => write!(f, "hook_embed"),
            Self::PosEmbed => write!(f, "hook_pos_embed"),
            Self::ResidPre(layer) => write!(f, "blocks.{layer}.hook_resid_pre"),
            Self::Query(layer) => write!(f, "blocks.{layer}.attn.hook_q"),
            Self::Key(layer) => write!(f, "blocks.{layer}.attn.hook_k"),
            Self::Value(layer) => write!(f, "blocks.{layer}.attn.hook_v"),
            Self::AttnScores(layer) => write!(f, "blocks.{layer}.attn.hook_attn_scores"),
            Self::Pattern(layer) => write!(f, "blocks.{layer}.attn.hook_pattern"),
            Self::Mixed(layer) => write!(f, "blocks.{layer}.attn.hook_z"),
            Self::AttnOut(layer) => write!(f, "blocks.{layer}.hook_attn_out"),
            Self::ResidMid(layer) => write!(f, "blocks.{layer}.hook_resid_mid"),
            Self::MlpPre(layer) => write!(f, "blocks.{layer}.mlp.hook_pre"),
            Self::MlpPreLinear(layer) => write!(f, "blocks.{layer}.mlp.hook_pre_linear"),
            Self::MlpPost(layer) => write!(f, "blocks.{layer}.mlp.hook_post"),
            Self::MlpOut(layer) => write!(f, "blocks.{layer}.hook_mlp_out"),
            Self::ResidPost(layer) => write!(f, "blocks.{layer}.hook_resid_post"),
            Self::NormScale(norm) => write!(f, "{norm}.hook_scale"),
            Self::Normalized(norm) => write!(f, "{norm}.hook_normalized"),
        }
    }
}

impl fmt::Display for NormSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embed => write!(f, "embed.ln"),
            Self::Ln1(layer) => write!(f, "blocks.{layer}.ln1"),
            Self::Ln2(layer) => write!(f, "blocks.{layer}.ln2"),
            Self::Query(layer) => write!(f, "blocks.{layer}.attn.q_norm"),
            Self::Key(layer) => write!(f, "blocks.{layer}.attn.k_norm"),
            Self::Final => write!(f, "ln_final"),
        }
    }
}

impl FromStr for Site {
    type Err = Error;

    /// Reads a name as [`Display`](fmt::Display) writes it, or as TransformerLens 4 calls the place.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSite`] if no model has such a place.
    fn from_str(name: &str) -> Result<Self> {
        let unknown = || Error::UnknownSite { name: name.to_owned(), sites: Vec::new() };
        let site = match name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.')) {
            Some((layer, place)) => {
                let number = layer.parse().ok().filter(|number: &usize| number.to_string() == layer);
                number.and_then(|layer| in_block(layer, place))
            }
            None => outside_of_blocks(name),
        };
        site.ok_or_else(unknown)
    }
}

fn outside_of_blocks(name: &str) -> Option<Site> {
    Some(match name {
        "hook_embed" | "embed.hook_out" => Site::Embed,
        "hook_pos_embed" | "pos_embed.hook_out" => Site::PosEmbed,
        _ => {
            let (norm, value) = name.rsplit_once('.')?;
            let norm = match norm {
                "embed.ln" => NormSite::Embed,
                "ln_final" => NormSite::Final,
                _ => return None,
            };
            of_norm(norm, value)?
        }
    })
}

fn in_block(layer: usize, place: &str) -> Option<Site> {
    Some(match place {
        "hook_resid_pre" | "hook_in" => Site::ResidPre(layer),
        "attn.hook_q" | "attn.q.hook_out" => Site::Query(layer),
        "attn.hook_k" | "attn.k.hook_out" => Site::Key(layer),
        "attn.hook_v" | "attn.v.hook_out" => Site::Value(layer),
        "attn.hook_attn_scores" => Site::AttnScores(layer),
        "attn.hook_pattern" => Site::Pattern(layer),
        "attn.hook_z" | "attn.o.hook_in" => Site::Mixed(layer),
        "hook_attn_out" | "attn.hook_out" => Site::AttnOut(layer),
        "hook_resid_mid" | "ln2.hook_in" => Site::ResidMid(layer),
        "mlp.hook_pre" | "mlp.in.hook_out" => Site::MlpPre(layer),
        "mlp.hook_pre_linear" => Site::MlpPreLinear(layer),
        "mlp.hook_post" | "mlp.out.hook_in" => Site::MlpPost(layer),
        "hook_mlp_out" | "mlp.hook_out" => Site::MlpOut(layer),
        "hook_resid_post" | "hook_out" => Site::ResidPost(layer),
        _ => {
            let (norm, value) = place.rsplit_once('.')?;
            let norm = match norm {
                "ln1" => NormSite::Ln1(layer),
                "ln2" => NormSite::Ln2(layer),
                "attn.q_norm" => NormSite::Query(layer),
                "attn.k_norm" => NormSite::Key(layer),
                _ => return None,
            };
            of_norm(norm, value)?
        }
    })
}

fn of_norm(norm: NormSite, value: &str) -> Option<Site> {
    match value {
        "hook_scale" => Some(Site::NormScale(norm)),
        "hook_normalized" => Some(Site::Normalized(norm)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let plain = GptConfig::new(2, 2, 16);
        let rich = GptConfig {
            embedding_norm: true,
            qk_norm: true,
            feed_forward: FeedForwardKind::Gated,
            positions: Positions::Rotary(crate::Rotary::default()),
            ..GptConfig::new(12, 2, 16)
        };
        for config in [&plain, &rich] {
            for site in Site::all(config) {
                assert_eq!(Site::of(&site.to_string(), config).expect("it is there"), site);
            }
        }
        for (name, site) in [
            ("blocks.1.hook_out", Site::ResidPost(1)),
            ("blocks.0.hook_in", Site::ResidPre(0)),
            ("blocks.0.attn.o.hook_in", Site::Mixed(0)),
        ] {
            assert_eq!(Site::of(name, &plain).expect("another name"), site);
        }
        for wrong in
            ["", "hook_embd", "blocks.2.hook_out", "blocks.01.hook_out", "blocks.+1.hook_out", "blocks.0"]
        {
            assert!(Site::of(wrong, &plain).is_err(), "{wrong}");
        }
        let only_rich = "blocks.0.mlp.hook_pre_linear";
        assert!(Site::of(only_rich, &plain).is_err() && Site::of(only_rich, &rich).is_ok());
    }
}
