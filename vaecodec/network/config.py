"""Numbers of the network that are the same in every model, for training and for every backend."""

from vaecodec.format.container import LEVEL_MAX, LEVEL_UNIT

ANCHORS = LEVEL_MAX // LEVEL_UNIT + 1  # levels at which gains are learned; t is 0..ANCHORS-1
BLOCK = 8  # side of the pixel blocks of the front end
FRONT = 3 * BLOCK * BLOCK  # values of a block
LEAK = 0.1  # slope of the activation below zero
SCALE_RANGE = (0.045, 40.0)  # scales of the logistic distributions, log-spaced
