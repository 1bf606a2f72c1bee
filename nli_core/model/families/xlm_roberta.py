"""XLM-R (Conneau et al., 2020): RoBERTa for a hundred languages, with a tokenizer of pieces (unigrams)."""

from dataclasses import replace

from nli_core.model.families.roberta import FAMILY as ROBERTA

FAMILY = replace(ROBERTA, classifier="XLMRobertaForSequenceClassification")
