package hudson.security;

import hudson.model.User;

public class HudsonPrivateSecurityRealm {
    public final boolean signUp;

    public HudsonPrivateSecurityRealm(boolean allowsSignup, boolean enableCaptcha, CaptchaSupport captchaSupport) {
        signUp = allowsSignup;
    }

    public User createAccount(String name, String password) {
        User user = User.getById(name, true);
        user.details = new Details(password);
        System.out.println("account " + name);
        return user;
    }

    public static final class Details {
        private final String password;

        Details(String password) { this.password = password; }

        public boolean isPasswordCorrect(String candidate) { return password.equals(candidate); }
    }
}
