"""The names, directions and groups of everything that is scored: said here once."""

from __future__ import annotations

SYSTEMS = {"real": "real", "copy": "copy", "base": "base", "finetuned": "fine-tuned"}  # as the report calls them
COLUMNS = (*SYSTEMS, "chance")
GENERATED = ("base", "finetuned", "chance")
NAMES = {
    "rate_exact": "rate: exact label",
    "rate_within_one": "rate: within one label",
    "rate_spearman": "rate: rank correlation",
    "rate_monotone": "rate: faster when asked faster",
    "noise_exact": "noise: exact label",
    "noise_within_one": "noise: within one label",
    "noise_spearman": "noise: rank correlation",
    "noise_monotone": "noise: clearer when asked clearer",
    "reverberation_exact": "reverberation: exact label",
    "reverberation_within_one": "reverberation: within one label",
    "reverberation_spearman": "reverberation: rank correlation",
    "reverberation_monotone": "reverberation: closer when asked closer",
    "speech_monotony_exact": "melody: exact label",
    "speech_monotony_within_one": "melody: within one label",
    "speech_monotony_spearman": "melody: rank correlation",
    "speech_monotony_monotone": "melody: livelier when asked livelier",
    "pitch_exact": "pitch: exact label",
    "pitch_within_one": "pitch: within one label",
    "pitch_spearman": "pitch: rank correlation",
    "pitch_monotone": "pitch: higher when asked higher",
    "speaker_gender": "gender by pitch",
    "pitch_correlation": "pitch: correlation with the speaker's",
    "pitch_error_semitones": "pitch: error in semitones",
    "speaker_probe": "speaker (probe)",
    "style_probe": "style (probe)",
    "speaker_held_out": "speaker (probe of held-out clips)",
    "style_held_out": "style (probe of held-out clips)",
    "emphasis_stands_out": "emphasis: marked word stands out",
    "emphasis_rises": "emphasis: more than without the mark",
    "word_error_rate": "word error rate (grammar)",
    "word_error_rate_open": "word error rate (Whisper)",
    "long_word_error_rate": "long texts: word error rate (grammar)",
    "drift_speaker": "drift: surety of the speaker, end minus start",
    "drift_pitch_semitones": "drift: semitones, end against start",
    "drift_level_db": "drift: dB, end against start",
    "held_out_loss": "held-out loss",
    "speaker_every_seed": "seeds: all heard as the speaker",
    "spread_pitch_semitones": "seeds: spread of pitch in semitones",
    "spread_rate": "seeds: spread of rate, relative",
    "distillmos": "naturalness (DistillMOS, 1 to 5)",
    "squim_stoi": "intelligibility (SQUIM STOI)",
    "squim_pesq": "quality (SQUIM PESQ)",
    "squim_si_sdr": "distortion (SQUIM SI-SDR, dB)",
    "stoi": "STOI against the real clip",
    "gender_hit": "gender as asked",
    "speaker_hit": "speaker as asked",
    "style_hit": "style as asked",
    "word_errors": "words wrong in a sample (grammar)",
    "word_errors_open": "words wrong in a sample (Whisper)",
    "silent": "silent",
    "length_plausible": "plausible length",
    "stopped_by_itself": "ended by itself",
    "real_time_factor": "seconds per second of audio",
}
LOWER_IS_BETTER = {
    "word_error_rate",
    "word_error_rate_open",
    "held_out_loss",
    "long_word_error_rate",
    "pitch_error_semitones",
    "drift_pitch_semitones",
    "drift_level_db",
    "real_time_factor",
    "silent",
    "word_errors",
    "word_errors_open",
}
# In a row of a sample: whether it is what was asked for.
HITS = ("rate_within_one", "noise_within_one", "gender_hit", "speaker_hit", "style_hit")
# What has to lie above chance.
ABOVE_CHANCE = ("speaker_gender", "speaker_probe", "style_probe", "rate_within_one", "rate_exact", "rate_spearman")
# What to read first, as far as it is scored.
HEADLINES = (
    "word_error_rate_open",
    "word_error_rate",
    "speaker_probe",
    "style_probe",
    "rate_spearman",
    "speaker_gender",
    "distillmos",
    "stopped_by_itself",
)
# What is compared sample by sample, and the score that it makes up.
SCORE_OF = {
    "gender_hit": "speaker_gender",
    "speaker_hit": "speaker_probe",
    "style_hit": "style_probe",
    "word_errors": "word_error_rate",
    "word_errors_open": "word_error_rate_open",
}
# Shares of samples that are what was asked for: speaker and style as probes hear them, attributes as tagged again.
ADHERENCE = (
    "speaker_probe",
    "style_probe",
    *(f"{attribute}_exact" for attribute in ("rate", "noise", "reverberation", "speech_monotony", "pitch")),
)


def name_of(metric: str) -> str:
    return NAMES.get(metric, metric.replace("_", " "))


def reaches(metric: str, value: float, limit: float) -> bool:
    """Whether a value is on the right side of a limit, or on it."""
    return value <= limit if metric in LOWER_IS_BETTER else value >= limit


def limit_in_words(metric: str, limit: float) -> str:
    return f"{'at most' if metric in LOWER_IS_BETTER else 'at least'} {limit}"


def verdict(metric: str, low: float, high: float) -> str:
    """Of a difference whose interval is [low, high]: `better`, `worse`, or ``; the interval is whole on one side."""
    if not (low > 0 or high < 0):
        return ""
    return "better" if (low > 0) != (metric in LOWER_IS_BETTER) else "worse"
