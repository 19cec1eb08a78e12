"""What is asked and what came back: study, prompts, plan, workers, answers, store, scores."""
