"""Word vectors from counts of neighbours: what a text says of its words before anything is trained."""

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd

from bertwright.data.shards import TokenArray

# Tokens that are counted at most: more change the vectors little and cost seconds.
MOST_TOKENS = 20_000_000
# Levy et al. 2015, section 3: contexts count with this power, which keeps rare ones from looking informative; singular values count with half.
CONTEXT_POWER, VALUE_POWER = 0.75, 0.5
POWER_ITERATIONS = 3


def word_vectors(tokens: TokenArray, *, vocab_size: int, size: int) -> NDArray[np.float32]:
    """[vocab_size, size]: words that stand between like neighbours point alike; every row has a mean square of 1, that of a word that never occurs is 0.

    The positive pointwise mutual information of each word with the token before it and with the one after it, factored by a truncated singular value
    decomposition (Levy & Goldberg 2014, "Neural word embedding as implicit matrix factorization", section 4), without the mean of all words. size: at most
    vocab_size.
    """
    found = np.zeros((vocab_size, size), np.float32)
    text = np.asarray(tokens[:MOST_TOKENS]).astype(np.int64)
    if len(text) < 2:
        return found
    pairs = sparse.coo_array((np.ones(len(text) - 1, np.float32), (text[:-1], text[1:])), shape=(vocab_size, vocab_size)).tocsr()
    neighbours = sparse.hstack([_informative(pairs), _informative(pairs.T.tocsr())]).tocsr()
    if not neighbours.nnz:
        return found
    left, values, _ = randomized_svd(neighbours, n_components=min(size, vocab_size), n_iter=POWER_ITERATIONS, random_state=0)
    vectors = left * values**VALUE_POWER
    seen = np.abs(vectors).sum(1) > 0
    vectors -= vectors[seen].mean(0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    kept = seen & (lengths[:, 0] > 0)
    found[kept, : vectors.shape[1]] = vectors[kept] * size**0.5 / lengths[kept]
    return found


def _informative(pairs: sparse.csr_array) -> sparse.csr_array:
    """Counts of (word, neighbour) -> log(p(word, neighbour) / (p(word) p(neighbour))) where that is above 0."""
    counted = pairs.tocoo()
    total, contexts = counted.data.sum(), np.asarray(pairs.sum(0)) ** CONTEXT_POWER
    words = np.asarray(pairs.sum(1)) / total
    likely = words[counted.row] * (contexts / contexts.sum())[counted.col]
    information = np.log(counted.data / total / likely)
    kept = information > 0
    return sparse.csr_array((information[kept].astype(np.float32), (counted.row[kept], counted.col[kept])), shape=pairs.shape)
