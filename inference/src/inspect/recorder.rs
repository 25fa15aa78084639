//! Values of a forward pass, kept.

use burn::tensor::Tensor;
use kiln_model::{Backend, Site, Tap, Watch};

/// A tap that keeps what passes chosen places, and changes nothing.
///
/// ```
/// use burn::tensor::{Int, Tensor};
/// use kiln_inference::Recorder;
/// use kiln_model::{GptConfig, Site};
///
/// type B = burn_ndarray::NdArray;
/// let config = GptConfig { vocab_size: 65, context_length: 32, ..GptConfig::new(2, 2, 16) };
/// let model = config.init::<B>(1337, &Default::default())?;
/// let tokens = Tensor::<B, 2, Int>::from_ints([[1, 2, 3]], &Default::default());
///
/// let mut recorder = Recorder::of(Site::all(&config));
/// model.forward_tapped(tokens, None, &mut recorder);
/// let pattern = recorder.get(Site::Pattern(1)).expect("it was asked for");
/// assert_eq!(pattern.shape, [1, 2, 3, 3]);
/// # Ok::<(), kiln_model::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recorder<B: Backend> {
    sites: Vec<Site>,
    recorded: Vec<(Site, Recorded<B>)>,
}

/// A value as it passed.
#[derive(Clone, Debug)]
pub struct Recorded<B: Backend> {
    /// Its numbers, row by row.
    flat: Tensor<B, 1>,
    /// Its shape, as its [`Site`] says.
    pub shape: Vec<usize>,
}

impl<B: Backend> Recorder<B> {
    /// Keeps what passes these places.
    pub fn of(sites: impl Into<Vec<Site>>) -> Self {
        Self { sites: sites.into(), recorded: Vec::new() }
    }

    /// What passed this place last; `None` if nothing did, or if it was not asked for.
    pub fn get(&self, site: Site) -> Option<&Recorded<B>> {
        self.recorded.iter().find(|(recorded, _)| *recorded == site).map(|(_, value)| value)
    }

    /// Everything that was kept, in the order in which it passed.
    pub fn all(&self) -> impl Iterator<Item = (Site, &Recorded<B>)> {
        self.recorded.iter().map(|(site, value)| (*site, value))
    }
}

impl<B: Backend> Recorded<B> {
    /// The value as a tensor of so many dimensions.
    ///
    /// # Panics
    ///
    /// If it has another number of dimensions.
    pub fn tensor<const D: usize>(&self) -> Tensor<B, D> {
        let shape: [usize; D] = self.shape[..].try_into().expect("the dimensions of the place");
        self.flat.clone().reshape(shape)
    }

    /// The numbers, row by row.
    pub fn to_vec(&self) -> Vec<f32> {
        self.flat.to_data().iter::<f32>().collect()
    }
}

impl<B: Backend> Tap<B> for Recorder<B> {
    fn watches(&self) -> Watch {
        match self.sites.iter().all(|site| site.is_on_stream()) {
            true if self.sites.is_empty() => Watch::Nothing,
            true => Watch::Stream,
            false => Watch::Everything,
        }
    }

    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        if self.sites.contains(&site) {
            let numbers = value.shape().num_elements();
            let recorded = Recorded { flat: value.clone().reshape([numbers]), shape: value.dims().to_vec() };
            self.recorded.retain(|(earlier, _)| *earlier != site);
            self.recorded.push((site, recorded));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use burn_ndarray::NdArray;
    use kiln_model::{GptConfig, GptModel, NoTap, token_tensor};

    use super::*;

    #[test]
    fn watching_the_stream_changes_no_bit_and_later_steps_change_nothing_that_was_kept() {
        let config = GptConfig { vocab_size: 31, context_length: 16, ..GptConfig::new(3, 2, 16) };
        let model: GptModel<NdArray> = config.init(7, &Default::default()).expect("valid");
        let tokens = || token_tensor(vec![3, 1, 4, 1, 5, 9], [2, 3], &Default::default());
        let plain = model.forward_tapped(tokens(), None, &mut NoTap).into_data();

        let stream: Vec<Site> = Site::all(&config).into_iter().filter(|site| site.is_on_stream()).collect();
        let mut recorder = Recorder::of(stream.clone());
        assert_eq!(recorder.watches(), Watch::Stream);
        assert_eq!(model.forward_tapped(tokens(), None, &mut recorder).into_data(), plain);
        let recorded: Vec<Site> = recorder.all().map(|(site, _)| site).collect();
        assert_eq!(recorded, stream);

        // Each block's output is the next one's input, and the sum of what it was made of.
        for layer in 0..3 {
            let value = |site| recorder.get(site).expect("kept").tensor::<3>();
            let sum = value(Site::ResidPre(layer)) + value(Site::AttnOut(layer)) + value(Site::MlpOut(layer));
            let off = (sum - value(Site::ResidPost(layer))).abs().max().into_scalar();
            assert!(off < 1e-6, "{off}");
        }
        let kept = recorder.get(Site::ResidPre(1)).expect("kept");
        let before = kept.to_vec();
        let _ = kept.tensor::<3>() + 1.0;
        let _ = model.forward(tokens());
        assert_eq!(kept.to_vec(), before);

        let mut everything = Recorder::of(Site::all(&config));
        let opened = model.forward_tapped(tokens(), None, &mut everything).into_data();
        opened.assert_approx_eq::<f32>(&plain, burn::tensor::Tolerance::absolute(1e-5));
        assert_eq!(everything.all().count(), Site::all(&config).len());
    }
}
