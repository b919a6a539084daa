"""The names that people give to columns, by what they hold; a column's name is compared as `columns.plain` writes it."""

TEXTS = (
    *("text", "sentence", "content", "review", "review_text", "review_body", "reviewtext", "tweet", "tweet_text", "comment", "comment_text", "body", "message"),
    *("text_a", "sentence1", "question1", "premise", "utterance", "post", "headline", "title", "description", "document", "query", "question", "phrase"),
    *("文本", "内容", "句子", "评论", "正文"),
)
PAIRS = (
    *(("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("sentence_0", "sentence_1"), ("sentence_a", "sentence_b"), ("sent1", "sent2")),
    *(("text1", "text2"), ("text_1", "text_2"), ("question1", "question2"), ("question_1", "question_2"), ("premise", "hypothesis"), ("text_a", "text_b")),
    *(
        ("#1_string", "#2_string"),
        ("text", "text_pair"),
        ("text", "pair"),
        ("question", "sentence"),
        ("query", "passage"),
        ("query", "document"),
        ("question", "passage"),
    ),
    *(("claim", "evidence"), ("句子1", "句子2")),
)
LABELS = (
    *("label", "labels", "class", "category", "sentiment", "emotion", "gold_label", "intent", "topic", "is_duplicate", "quality", "polarity", "target"),
    *("coarse_label", "y", "标签", "类别", "情感"),
)
SCORES = ("score", "similarity", "similarity_score", "relatedness_score", "rating", "stars", "overall", "value")
IDS = ("id", "idx", "index", "guid", "uid", "qid", "pairid", "pair_id", "row_id", "example_id")

WORDS = ("tokens", "words", "token", "word")
TAGS = ("ner_tags", "tags", "ner", "ner_labels", "word_labels", "labels", "label", "tag", "entities", "bio", "pos_tags", "chunk_tags")

QUESTIONS = ("question", "query")
CONTEXTS = ("context", "passage", "paragraph", "document", "text")
ANSWERS = ("answers", "answer", "answer_text")
STARTS = ("answer_start", "start", "answer_starts")
QUESTION_IDS = ("id", "qid", "question_id", "guid")

CHOICE_LISTS = ("choices", "endings", "options", "candidates")
NUMBERED_CHOICES = ("ending{}", "choice{}", "option{}", "choice_{}", "option_{}", "answer{}", "sol{}", "solution{}", "alternative{}")
CHOICE_TEXTS = ("context", "article", "passage", "ctx", "sent1", "startphrase", "premise", "goal", "text", "prompt", "sentence", "story", "input")
CHOICE_QUESTIONS = ("question", "sent2", "query")
RIGHT_CHOICES = ("label", "labels", "answer", "answerkey", "answer_key", "correct", "gold", "target")

ANCHORS = ("anchor", "query", "question", "premise", "set0", "sentence1", "sentence_0")
POSITIVES = ("positive", "pos", "passage", "answer", "document", "entailment", "set1", "sentence2", "sentence_1")
NEGATIVES = ("negative", "neg", "hard_negative", "contradiction", "sentence3", "sentence_2")
EMBED_PAIRS = (("anchor", "positive"), ("anchor", "pos"), ("query", "positive"), ("query", "pos"), ("set0", "set1"))
EMBED_SCORES = ("score", "similarity", "similarity_score", "relatedness_score", "label", "labels", "sim")

WRITTEN = (
    *(("source", "target"), ("document", "summary"), ("article", "highlights"), ("article", "summary"), ("dialogue", "summary"), ("text", "summary")),
    *(("prompt", "completion"), ("prompt", "response"), ("input", "output"), ("instruction", "output"), ("instruction", "response"), ("src", "tgt")),
    *(("input_text", "target_text"), ("question", "answer"), ("context", "response"), ("content", "title"), ("原文", "译文")),
)

QUANTITIES = (
    *("score", "similarity", "similarity_score", "relatedness_score", "sim", "rating", "value", "price", "cost", "amount", "age", "count", "number"),
    *("length", "duration", "year", "temperature", "percent", "percentage", "grade", "points", "votes", "likes", "分数", "价格"),
)
EVERY = frozenset(
    (
        *(*TEXTS, *(name for pair in (*PAIRS, *EMBED_PAIRS, *WRITTEN) for name in pair), *LABELS, *SCORES, *IDS, *WORDS, *TAGS),
        *(*QUESTIONS, *CONTEXTS, *ANSWERS, *STARTS, *QUESTION_IDS, *CHOICE_LISTS, *CHOICE_TEXTS, *CHOICE_QUESTIONS, *RIGHT_CHOICES),
        *(pattern.format(name) for pattern in NUMBERED_CHOICES for name in "01ab"),
        *(*ANCHORS, *POSITIVES, *NEGATIVES, *EMBED_SCORES),
    )
)
LIKE_VALUES = frozenset(("pos", "neg", "positive", "negative", "entailment", "contradiction", "correct", "y", "start", "value", "topic", "quality", "message"))
