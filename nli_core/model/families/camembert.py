"""CamemBERT (Martin et al., 2020): RoBERTa for French."""

from dataclasses import replace

from nli_core.model.families.roberta import FAMILY as ROBERTA

FAMILY = replace(ROBERTA, classifier="CamembertForSequenceClassification")
