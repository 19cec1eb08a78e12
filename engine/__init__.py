"""What is asked and what came back: study, questionnaire, roles, prompts, plan, answers, store, scores."""
