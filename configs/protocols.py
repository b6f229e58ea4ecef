"""How frozen embeddings are evaluated, by name: all ways of learning on a dataset are measured by the same
protocol.

Only the distance is chosen per experiment: an embedding is compared by the one that its loss uses. The views and
the probes were chosen on validation data. Until December 2026 the linear probe had no weight decay, and on MNIST
and Fashion-MNIST 30 epochs at 0.3: of three embeddings, that gave two 0.3 points less, and one 0.1 more.
"""

# A linear probe tries these, and is trained with the one that is best on a tenth of the images, or on all by turns.
CHOSEN = dict(weight_decay=0.0, weight_decays=(0.01, 0.1))

# The 8×8 digits.
DIGITS = dict(
    neighbours=5,
    distance="cosine",
    views=0,
    augmentation=dict(),
    linear=dict(epochs=60, batch_size=64, learning_rate=0.1, **CHOSEN),
    mlp=dict(hidden=(128,), dropout=0.0, epochs=60, batch_size=64, learning_rate=0.02, weight_decay=1e-4),
)

# MNIST and Fashion-MNIST.
MNIST = dict(
    neighbours=10,
    distance="cosine",
    views=0,
    augmentation=dict(),
    linear=dict(epochs=60, batch_size=512, learning_rate=0.1, **CHOSEN),
    mlp=dict(hidden=(256,), dropout=0.0, epochs=30, batch_size=512, learning_rate=0.02, weight_decay=1e-4),
)

# CIFAR-10: the probes learn from four flipped and shifted views of each train image as well.
CIFAR = dict(
    neighbours=10,
    distance="cosine",
    views=4,
    augmentation=dict(flip=dict(p=0.5), translate=dict(pixels=2)),
    linear=dict(epochs=10, batch_size=512, learning_rate=0.03, **CHOSEN),
    mlp=dict(hidden=(512,), dropout=0.3, epochs=16, batch_size=512, learning_rate=2e-3, weight_decay=0.1),
)

# Pictures of any kind: two views of each, made by this augmentation, are compared.
PICTURES = dict(
    neighbours=10,
    distance="cosine",
    views=0,
    augmentation=dict(crop=dict(min_area=0.5, max_area=1.0), flip=dict(p=0.5)),
    linear=dict(epochs=30, batch_size=128, learning_rate=0.03, **CHOSEN),
    mlp=dict(hidden=(256,), dropout=0.3, epochs=30, batch_size=128, learning_rate=2e-3, weight_decay=0.1),
)
