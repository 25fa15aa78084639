//! `kiln-model` from another crate: configure, initialise, run, measure, generate.

use burn::tensor::{Int, Tensor};
use kiln_model::{Error, GptConfig, KvCache};

type B = burn_ndarray::NdArray;

fn main() -> Result<(), Error> {
    let device = Default::default();
    let config = GptConfig { vocab_size: 100, context_length: 32, ..GptConfig::new(2, 4, 64) };
    let model = config.init::<B>(1337, &device)?;
    println!("{} parameters", config.num_parameters());

    let tokens = Tensor::<B, 2, Int>::from_ints([[3, 1, 4, 1, 5, 9, 2, 6]], &device);
    let targets = Tensor::<B, 2, Int>::from_ints([[1, 4, 1, 5, 9, 2, 6, 5]], &device);
    println!(
        "logits {:?}, loss {:.3}",
        model.forward(tokens.clone()).dims(),
        model.loss(tokens.clone(), targets).into_scalar()
    );

    let mut cache = KvCache::new(&config, 1, &device);
    let mut next = model.forward_cached(tokens, &mut cache).argmax(1); // [1, 1]
    for _ in 0..8 {
        print!("{} ", next.clone().into_scalar());
        next = model.forward_cached(next, &mut cache).argmax(1);
    }
    println!();
    Ok(())
}
